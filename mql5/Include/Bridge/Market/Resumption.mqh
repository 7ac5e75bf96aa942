//+------------------------------------------------------------------+
//|                                                   Resumption.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Where a stream begins: what SUBSCRIBE offers against what the terminal knows and has.
//
//   the relay offers, the terminal has     the stream
//   -------------------------------------  --------------------------------------------------
//   nothing                                FRESH: the latest tick, in a new epoch; or the log,
//                                          when no record of it was ever acknowledged
//   a record that the log reaches back to  RESUMED from the log, byte for byte
//   an older record of the same epoch      RESUMED by reading again with the same numbers; if
//                                          that cannot be proved, GAP(ORDER_LOST): the same
//                                          ticks with new numbers
//   an older epoch                         GAP(OTHER): the log from its oldest record
//   a record, and the terminal remembers   RESUMED behind its cursor, if the history fits and
//   nothing of it (it was restarted)       the cursor is not too old; else GAP and the latest
//                                          tick
//
// What must change together: this file and bridge/sim/resumption.py.

#ifndef BRIDGE_MARKET_RESUMPTION_MQH
#define BRIDGE_MARKET_RESUMPTION_MQH

#include <Bridge/Market/TickReader.mqh>
#include <Bridge/Market/TickStream.mqh>

//--- further ticks than this are not walked to prove that they lead to the same place
#define RESUME_PATH_MAX  1000000
#define RESUME_EPOCH_MAX 4294967295

//+------------------------------------------------------------------+
//| How a stream begins: inside its log, or from a place in history  |
//+------------------------------------------------------------------+
class CStart
  {
public:
   uint              m_code;            // ErrorCode; other than OK: it cannot begin, see m_text
   uint              m_continuity;
   long              m_epoch;
   ulong             m_first_seq;
   //--- a place: a cursor, the ticks from m_from_msc through it, which count as taken, the tick to
   //--- begin with, if it is there already, and ticks before the cursor to be sent first, as late
   bool              m_has_place;
   SCursor           m_place;
   MqlTick           m_taken[];
   int               m_taken_total;
   long              m_from_msc;
   bool              m_has_first;
   MqlTick           m_first[1];
   CTickQueue        m_late;
   //--- of a GAP: m_cursor is behind the last tick that is not sent
   uint              m_reason;          // GapReason, 0: no GAP
   string            m_text;
   SCursor           m_cursor;

                     CStart(void);
  };

CStart::CStart(void) : m_code(ERROR_CODE_OK),
                       m_continuity(CONTINUITY_FRESH),
                       m_epoch(0),
                       m_first_seq(1),
                       m_has_place(false),
                       m_taken_total(0),
                       m_from_msc(0),
                       m_has_first(false),
                       m_reason(0),
                       m_text("")
  {
   CCursor::Set(m_place,0,0,0);
   CCursor::Set(m_cursor,0,0,0);
  }

//+------------------------------------------------------------------+
//| The decision for one SUBSCRIBE                                   |
//+------------------------------------------------------------------+
class CResumption
  {
private:
   CTickReader      *m_reader;
   CTickStream      *m_known;           // the stream in memory, or NULL
   int               m_slot;
   SSubscribe        m_subscribe;
   long              m_time_current_msc;
   MqlTick           m_scratch[];

   void              Loading(CStart &start) const;
   void              Fresh(CStart &start);
   void              Anew(const uint reason,const string text,CStart &start);
   void              Again(CStart &start);
   void              Adopt(CStart &start);
   bool              LeadsTo(bool &leads);
   bool              Behind(const int taken_total,CStart &start);
   bool              Latest(CStart &start);
   bool              NewEpoch(CStart &start) const;
   string            ReasonText(const uint reason) const;

public:
                     CResumption(CTickReader *reader,CTickStream *known,const int slot,
                                 const SSubscribe &subscribe,const long time_current_msc);
   void              Decide(CStart &start);
  };

// time_current_msc is where a symbol without any tick begins.
CResumption::CResumption(CTickReader *reader,CTickStream *known,const int slot,
                         const SSubscribe &subscribe,const long time_current_msc) :
                         m_reader(reader),
                         m_known(known),
                         m_slot(slot),
                         m_time_current_msc(time_current_msc)
  {
   m_subscribe=subscribe;
  }

// Where the stream begins; nothing is changed but start.
void CResumption::Decide(CStart &start)
  {
   if(!m_subscribe.has_resume)
     {
      Fresh(start);
      return;
     }
   const long offered=(long)m_subscribe.resume.epoch;
   const ulong seq=m_subscribe.resume.seq;
   if(m_known!=NULL && m_known.m_epoch>offered)
     {
      const string text="the terminal has gone on to epoch "+IntegerToString(m_known.m_epoch);
      if(!m_known.m_kept)
        {
         Anew((uint)GAP_OTHER,text,start);
         return;
        }
      start.m_continuity=(uint)CONTINUITY_GAP;
      start.m_epoch=m_known.m_epoch;
      start.m_first_seq=m_known.m_log.FirstSeq();
      start.m_reason=(uint)GAP_OTHER;
      start.m_text=text;
      m_known.m_log.Before(start.m_cursor);
      return;
     }
   if(m_known!=NULL && m_known.m_epoch==offered && seq<m_known.m_next_seq)
     {
      const ulong oldest=m_known.m_log.FirstSeq();
      if(!m_known.m_kept || seq+1<oldest)
        {
         Again(start);
         return;
        }
      ulong first_seq=m_subscribe.resume.from_seq;
      if(first_seq>seq+1)
         first_seq=seq+1;
      if(first_seq<oldest)
         first_seq=oldest;
      start.m_continuity=(uint)CONTINUITY_RESUMED;
      start.m_epoch=m_known.m_epoch;
      start.m_first_seq=first_seq;
      return;
     }
   Adopt(start);
  }

void CResumption::Loading(CStart &start) const
  {
   start.m_code=(uint)ERROR_CODE_NOT_SYNCHRONISED;
   start.m_text=m_reader.LoadingText(m_slot);
  }

string CResumption::ReasonText(const uint reason) const
  {
   if(reason==(uint)GAP_HISTORY_MISSING)
      return("the terminal's history does not reach back to the last tick taken");
   return("the terminal's history differs at the last tick taken");
  }

void CResumption::Fresh(CStart &start)
  {
   start.m_continuity=(uint)CONTINUITY_FRESH;
   start.m_first_seq=1;
   if(m_known!=NULL && m_known.m_kept && !m_known.m_acknowledged && m_known.m_log.FirstSeq()==1)
     {
      //--- the link was lost before the relay had the first record of an earlier beginning: it
      //--- cannot name what it waits for, and waits for it nevertheless
      start.m_epoch=m_known.m_epoch;
      return;
     }
   if(!NewEpoch(start))
      return;
   if(!Latest(start))
      return;
   start.m_has_place=true;
  }

void CResumption::Anew(const uint reason,const string text,CStart &start)
  {
   if(!Latest(start))
      return;
   start.m_continuity=(uint)CONTINUITY_GAP;
   start.m_first_seq=1;
   start.m_reason=reason;
   start.m_text=text;
   start.m_cursor=start.m_place;
   start.m_has_place=true;
   NewEpoch(start);
  }

// The log does not reach back so far: read it all again.
void CResumption::Again(CStart &start)
  {
   uint reason=0;
   int total=0;
   if(!m_reader.Find(m_slot,m_subscribe.resume.cursor,reason,m_scratch,total))
     {
      Loading(start);
      return;
     }
   if(reason!=0)
     {
      Anew(reason,ReasonText(reason),start);
      return;
     }
   if(!Behind(total,start))
      return;
   const ulong seq=m_subscribe.resume.seq;
   bool leads=false;
   if(m_known.m_late.Count()==0 && seq>=m_known.m_disorder_seq && !LeadsTo(leads))
     {
      Loading(start);
      return;
     }
   start.m_has_place=true;
   if(leads)
     {
      start.m_continuity=(uint)CONTINUITY_RESUMED;
      start.m_epoch=m_known.m_epoch;
      start.m_first_seq=seq+1;
      return;
     }
   if(!m_known.LateSince(seq,m_subscribe.resume.cursor.time_msc,start.m_late))
     {
      Loading(start);
      return;
     }
   start.m_continuity=(uint)CONTINUITY_GAP;
   start.m_first_seq=1;
   start.m_reason=(uint)GAP_ORDER_LOST;
   start.m_text=StringFormat("the order of the ticks behind %I64u cannot be had again: all of them follow with new numbers",seq);
   start.m_cursor=m_subscribe.resume.cursor;
   NewEpoch(start);
  }

// Whether as many ticks as were numbered since end at the same place. False: cannot be read now.
bool CResumption::LeadsTo(bool &leads)
  {
   leads=false;
   const ulong numbered=m_known.m_next_seq-1-m_subscribe.resume.seq;
   if(numbered>RESUME_PATH_MAX)
      return(true);
   bool enough=false;
   SCursor behind={};
   if(!m_reader.Walk(m_slot,m_subscribe.resume.cursor,(long)numbered,enough,behind))
      return(false);
   leads=(enough && CCursor::Same(behind,m_known.m_cursor));
   return(true);
  }

// The relay has something that this program knows nothing of.
void CResumption::Adopt(CStart &start)
  {
   const ulong seq=m_subscribe.resume.seq;
   if(seq>(ulong)LONG_MAX)
     {
      Anew((uint)GAP_OTHER,StringFormat("sequence number %I64u is out of range",seq),start);
      return;
     }
   int total=0;
   if(!m_reader.Read(m_slot,0,1,m_scratch,total))
     {
      Loading(start);
      return;
     }
   if(total>0)
     {
      const double age_s=((double)m_scratch[total-1].time_msc-(double)m_subscribe.resume.cursor.time_msc)/1000.0;
      const uint limit_s=m_subscribe.resume_max_age_s;
      if(age_s>(double)limit_s)
        {
         Anew((uint)GAP_TOO_OLD,StringFormat("the last tick taken is %.0f s older than the newest one, the limit is %u s",
              age_s,limit_s),start);
         return;
        }
     }
   uint reason=0;
   if(!m_reader.Find(m_slot,m_subscribe.resume.cursor,reason,m_scratch,total))
     {
      Loading(start);
      return;
     }
   if(reason!=0)
     {
      Anew(reason,ReasonText(reason),start);
      return;
     }
   if(!Behind(total,start))
      return;
   start.m_has_place=true;
   start.m_continuity=(uint)CONTINUITY_RESUMED;
   start.m_epoch=(long)m_subscribe.resume.epoch;
   start.m_first_seq=seq+1;
  }

// The place behind the offered cursor, whose ticks are in m_scratch. What the history holds of the
// minute before counts as taken: whatever appears there from now on is late.
bool CResumption::Behind(const int taken_total,CStart &start)
  {
   const long time_msc=m_subscribe.resume.cursor.time_msc;
   const long from_msc=time_msc-STREAM_MEMORY_MSC;
   long end_msc=0;
   int total=0;
   if(!m_reader.ReadRange(m_slot,from_msc,time_msc-1,start.m_taken,total,end_msc))
     {
      Loading(start);
      return(false);
     }
   start.m_from_msc=from_msc;
   if(end_msc<time_msc-1)
     {
      total=0;
      start.m_from_msc=time_msc;
     }
   if(!ReserveTicks(start.m_taken,total+taken_total))
     {
      Loading(start);
      return(false);
     }
   for(int i=0; i<taken_total; i++)
      start.m_taken[total+i]=m_scratch[i];
   start.m_taken_total=total+taken_total;
   start.m_place=m_subscribe.resume.cursor;
   return(true);
  }

// The place before the newest tick, which comes first.
bool CResumption::Latest(CStart &start)
  {
   start.m_has_first=false;
   start.m_taken_total=0;
   int total=0;
   if(!m_reader.Read(m_slot,0,1,m_scratch,total))
     {
      Loading(start);
      return(false);
     }
   if(total==0)
     {
      CCursor::Set(start.m_place,m_time_current_msc,0,0);
      start.m_from_msc=m_time_current_msc;
      return(true);
     }
   const long time_msc=m_scratch[total-1].time_msc;
   long end_msc=0;
   if(!m_reader.ReadRange(m_slot,time_msc,time_msc,start.m_taken,total,end_msc) || total==0)
     {
      start.m_code=(uint)ERROR_CODE_NOT_SYNCHRONISED;
      start.m_text="the history of '"+m_subscribe.symbol+"' changes while it is read";
      return(false);
     }
   start.m_taken_total=total-1;
   start.m_has_first=true;
   start.m_first[0]=start.m_taken[total-1];
   CCursor::Over(start.m_place,time_msc,start.m_taken,0,total-1);
   start.m_from_msc=time_msc;
   return(true);
  }

// Numbers of an epoch that was used must not be given again.
bool CResumption::NewEpoch(CStart &start) const
  {
   long epoch=(long)m_subscribe.fresh_epoch;
   if(m_known!=NULL && m_known.m_epoch>=epoch)
      epoch=m_known.m_epoch+1;
   start.m_epoch=epoch;
   if(epoch<=RESUME_EPOCH_MAX)
      return(true);
   start.m_code=(uint)ERROR_CODE_INVALID;
   start.m_text=StringFormat("no epoch is left behind %I64d",(long)RESUME_EPOCH_MAX);
   return(false);
  }

#endif // BRIDGE_MARKET_RESUMPTION_MQH
