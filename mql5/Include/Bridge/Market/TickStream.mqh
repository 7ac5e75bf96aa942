//+------------------------------------------------------------------+
//|                                                   TickStream.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// One symbol's stream: numbers, log, and the memory of what was taken.
//
// The log holds the records numbered last and is the send queue. The memory holds the last minute
// of ticks that were taken, so that a second reading of the history shows what came late and what
// is gone. CTickCollector decides, this keeps it consistent.
// What must change together: this file and bridge/sim/tickstream.py.

#ifndef BRIDGE_MARKET_TICKSTREAM_MQH
#define BRIDGE_MARKET_TICKSTREAM_MQH

#include <Bridge/Market/Cursor.mqh>
#include <Bridge/Market/TickLog.mqh>

//--- ticks taken of a symbol in one poll
#define STREAM_BATCH        512
//--- how far back re-reading finds late ticks, in server time and in ticks
#define STREAM_MEMORY_MSC   60000
#define STREAM_MEMORY_TICKS 65536

//+------------------------------------------------------------------+
//| Ticks in order, appended at the end and cut off at the front     |
//+------------------------------------------------------------------+
class CTickQueue
  {
public:
   MqlTick           m_ticks[];         // those that count: [Begin(),End())

private:
   int               m_begin;
   int               m_end;

public:
                     CTickQueue(void) : m_begin(0),m_end(0) { }
   int               Begin(void) const { return(m_begin); }
   int               End(void) const { return(m_end); }
   int               Count(void) const { return(m_end-m_begin); }
   void              Clear(void) { m_begin=0; m_end=0; }
   bool              Reserve(const int more);
   bool              Append(const MqlTick &ticks[],const int begin,const int end);
   bool              Push(const MqlTick &tick);
   void              DropFront(const int length);
   void              Remove(const int index);
  };

// Make room behind the end; the indexes of all ticks may change.
bool CTickQueue::Reserve(const int more)
  {
   const int size=ArraySize(m_ticks);
   if(m_end+more<=size)
      return(true);
   if(m_begin>size/2)
     {
      //--- more than half was cut off: moving the rest costs less than what was appended since
      const int count=Count();
      for(int i=0; i<count; i++)
         m_ticks[i]=m_ticks[m_begin+i];
      m_begin=0;
      m_end=count;
     }
   return(ReserveTicks(m_ticks,m_end+more));
  }

bool CTickQueue::Append(const MqlTick &ticks[],const int begin,const int end)
  {
   if(end<=begin)
      return(true);
   if(!Reserve(end-begin))
      return(false);
   for(int i=begin; i<end; i++)
      m_ticks[m_end+i-begin]=ticks[i];
   m_end+=end-begin;
   return(true);
  }

bool CTickQueue::Push(const MqlTick &tick)
  {
   if(!Reserve(1))
      return(false);
   m_ticks[m_end]=tick;
   m_end++;
   return(true);
  }

void CTickQueue::DropFront(const int length)
  {
   m_begin+=length;
   if(m_begin>=m_end)
      Clear();
  }

void CTickQueue::Remove(const int index)
  {
   for(int i=index; i+1<m_end; i++)
      m_ticks[i]=m_ticks[i+1];
   m_end--;
  }

//+------------------------------------------------------------------+
//| The state of one stream                                          |
//+------------------------------------------------------------------+
class CTickStream
  {
public:
   string            m_symbol;
   int               m_slot;            // of CSymbols
   int               m_digits;
   double            m_point;
   uint              m_symbol_id;       // 0 while the relay does not listen
   long              m_epoch;           // -1: never begun
   ulong             m_next_seq;
   SCursor           m_cursor;
   CTickLog          m_log;
   bool              m_kept;            // false when the log was given up
   bool              m_acknowledged;    // the relay has taken a record of this epoch
   //--- sending
   ulong             m_send_seq;        // the next record to send
   bool              m_queued;          // the stream waits for its turn
   CTickStream      *m_next_ready;
   //--- what was taken
   CTickQueue        m_memory;          // in order of time, complete from m_memory_from_msc on
   long              m_memory_from_msc;
   CTickQueue        m_gone;            // taken, and not in the history any more; in order of time
   CTickQueue        m_late;            // found behind the cursor and not numbered yet
   bool              m_pinned;          // the memory reaches back to m_pinned_msc, however old
   long              m_pinned_msc;
   ulong             m_disorder_seq;    // newest number that a second reading might give to another tick
   long              m_unusable;        // ticks left out because no relay would take them
   //--- after an outage, until two readings agree
   bool              m_settling;
   long              m_settling_since_us;
   bool              m_has_previous;
   CTickQueue        m_previous;
   //--- when to look again
   long              m_watch_until_us;
   long              m_look_again_us;
   long              m_not_before_us;
   bool              m_catching_up;     // not live until the first read that did not fill its slice
   bool              m_behind;          // the last read filled its slice
   bool              m_due;             // to be read, until a read has gone on from the cursor

private:
   MqlTick           m_seen;            // the newest tick when news were looked for last
   CTickQueue        m_late_numbered;   // late ticks of this epoch, and their numbers
   ulong             m_late_seqs[];
   MqlTick           m_joined[];        // scratch of Compare
   bool              m_matched[];

   bool              CameBack(const MqlTick &tick);
   void              RememberLate(const ulong seq,const MqlTick &tick);
   void              FindFit(const MqlTick &found[],const int total,int &end,SCursor &cursor) const;
   bool              IsTaken(const MqlTick &found[],const int end,const int split) const;
   int               GroupLate(const MqlTick &found[],const int begin,const int end,
                               const int from,const int to);

public:
                     CTickStream(const string symbol,const int slot,const int digits,const double point);
   void              Place(const long epoch,const ulong next_seq,const SCursor &cursor,
                           const MqlTick &taken[],const int total,const long from_msc);
   void              GiveUp(void);
   bool              IsDue(void) const { return(m_due || m_behind || m_catching_up || m_late.Count()>0); }
   void              LookForNews(void);
   ulong             Unsent(void) const { return(m_next_seq>m_send_seq ? m_next_seq-m_send_seq : 0); }
   void              Pin(const long from_msc);
   bool              LateSince(const ulong seq,const long before_msc,CTickQueue &late) const;
   bool              Number(const MqlTick &ticks[],const int begin,const int end,
                            const uint extra_flags,const int utc_offset_min);
   bool              NumberLate(const int utc_offset_min);
   bool              Compare(const MqlTick &found[],const int total,const long through_msc,int &late,int &gone);
   bool              AgreesWithPrevious(const MqlTick &found[],const int total) const;
   void              SetPrevious(const MqlTick &found[],const int total);
   void              Prune(const int log_records);
  };

CTickStream::CTickStream(const string symbol,const int slot,const int digits,const double point) :
                         m_symbol(symbol),
                         m_slot(slot),
                         m_digits(digits),
                         m_point(point),
                         m_symbol_id(0),
                         m_epoch(-1),
                         m_next_seq(1),
                         m_kept(true),
                         m_acknowledged(false),
                         m_send_seq(1),
                         m_queued(false),
                         m_next_ready(NULL),
                         m_memory_from_msc(0),
                         m_pinned(false),
                         m_pinned_msc(0),
                         m_disorder_seq(0),
                         m_unusable(0),
                         m_settling(false),
                         m_settling_since_us(0),
                         m_has_previous(false),
                         m_watch_until_us(0),
                         m_look_again_us(0),
                         m_not_before_us(0),
                         m_catching_up(true),
                         m_behind(true),
                         m_due(true)
  {
   ZeroMemory(m_seen);
   CCursor::Set(m_cursor,0,0,0);
  }

// Number from here on: taken are the ticks through the cursor, from a time on.
void CTickStream::Place(const long epoch,const ulong next_seq,const SCursor &cursor,
                        const MqlTick &taken[],const int total,const long from_msc)
  {
   if(epoch!=m_epoch)
     {
      m_disorder_seq=0;
      m_late_numbered.Clear();
      m_acknowledged=false;
     }
   m_epoch=epoch;
   m_next_seq=next_seq;
   m_cursor=cursor;
   m_log.Begin(next_seq,cursor);
   m_kept=true;
   m_memory.Clear();
   m_memory_from_msc=from_msc;
   if(!m_memory.Append(taken,0,total))
     {
      //--- no memory: what comes late before the cursor is not found
      m_memory.Clear();
      m_memory_from_msc=cursor.time_msc;
     }
   m_gone.Clear();
   m_late.Clear();
   m_settling=false;
   m_catching_up=true;
   m_behind=true;
  }

// The relay unsubscribed: what it has not taken can only be had by reading again.
void CTickStream::GiveUp(void)
  {
   m_log.Begin(m_next_seq,m_cursor);
   m_settling=false;
   m_symbol_id=0;
   m_kept=false;
  }

// Look whether the newest tick is another one than when this was asked last; then the stream is due.
void CTickStream::LookForNews(void)
  {
   MqlTick tick={};
   if(!SymbolInfoTick(m_symbol,tick))
      return;
   if(tick.time_msc==m_seen.time_msc && tick.bid==m_seen.bid && tick.ask==m_seen.ask && tick.last==m_seen.last
      && tick.volume==m_seen.volume && tick.volume_real==m_seen.volume_real)
      return;
   m_seen=tick;
   m_due=true;
  }

// Keep the memory from this time on, however old it gets.
void CTickStream::Pin(const long from_msc)
  {
   if(m_pinned && m_pinned_msc<=from_msc)
      return;
   m_pinned=true;
   m_pinned_msc=from_msc;
  }

// The ticks before a time that were found late and numbered behind seq, or not numbered yet.
bool CTickStream::LateSince(const ulong seq,const long before_msc,CTickQueue &late) const
  {
   late.Clear();
   for(int i=m_late_numbered.Begin(); i<m_late_numbered.End(); i++)
      if(m_late_seqs[i]>seq && m_late_numbered.m_ticks[i].time_msc<before_msc && !late.Push(m_late_numbered.m_ticks[i]))
         return(false);
   for(int i=m_late.Begin(); i<m_late.End(); i++)
      if(m_late.m_ticks[i].time_msc<before_msc && !late.Push(m_late.m_ticks[i]))
         return(false);
   return(true);
  }

// Make records of ticks[begin..end), which follow the cursor. False when there is no memory: then
// nothing was taken. Hot path.
bool CTickStream::Number(const MqlTick &ticks[],const int begin,const int end,
                         const uint extra_flags,const int utc_offset_min)
  {
   if(!m_log.Reserve(end-begin) || !m_memory.Reserve(end-begin))
      return(false);
   bool silent=false;
   for(int i=begin; i<end; i++)
     {
      CCursor::Extend(m_cursor,ticks[i]);
      silent=true;
      if(!IsUsableTick(ticks[i]))
         m_unusable++;
      else
         if(m_gone.Count()==0 || !CameBack(ticks[i]))
           {
            m_log.Append((uint)m_epoch,ticks[i],extra_flags,utc_offset_min,m_cursor);
            m_next_seq++;
            silent=false;
           }
     }
   if(silent)
      m_log.SetLastCursor(m_cursor);
   return(m_memory.Append(ticks,begin,end));
  }

// Make records of the next late ticks. The cursor behind each fits no history, except behind the
// last one: from there on nothing is missing.
bool CTickStream::NumberLate(const int utc_offset_min)
  {
   int portion=m_late.Count();
   if(portion>STREAM_BATCH)
      portion=STREAM_BATCH;
   if(portion==0)
      return(true);
   if(!m_log.Reserve(portion))
      return(false);
   SCursor unfit={};
   CCursor::Set(unfit,m_cursor.time_msc,m_cursor.ticks,m_cursor.crc^0xFFFFFFFF);
   for(int i=0; i<portion; i++)
     {
      const int index=m_late.Begin()+i;
      m_log.Append((uint)m_epoch,m_late.m_ticks[index],TICK_EXTRA_LATE,utc_offset_min,unfit);
      RememberLate(m_next_seq,m_late.m_ticks[index]);
      m_next_seq++;
     }
   m_late.DropFront(portion);
   if(m_late.Count()==0)
      m_log.SetLastCursor(m_cursor);
   m_disorder_seq=m_next_seq-1;
   return(true);
  }

void CTickStream::RememberLate(const ulong seq,const MqlTick &tick)
  {
   if(m_late_numbered.Count()>=STREAM_MEMORY_TICKS)
      m_late_numbered.DropFront(1);
   const int begin=m_late_numbered.Begin();
   const int count=m_late_numbered.Count();
   if(!m_late_numbered.Push(tick))
      return;
//--- the numbers stand at the same indexes as their ticks, and move with them
   if(m_late_numbered.Begin()!=begin)
      for(int i=0; i<count; i++)
         m_late_seqs[i]=m_late_seqs[begin+i];
   const int end=m_late_numbered.End();
   if(ArraySize(m_late_seqs)<end && ArrayResize(m_late_seqs,end,end/2+64)!=end)
     {
      m_late_numbered.Clear();
      return;
     }
   m_late_seqs[end-1]=seq;
  }

// Whether a tick had disappeared from the history after it was taken, and is there again.
bool CTickStream::CameBack(const MqlTick &tick)
  {
   int index=FindTickFrom(m_gone.m_ticks,m_gone.Begin(),m_gone.End(),tick.time_msc);
   while(index<m_gone.End() && m_gone.m_ticks[index].time_msc==tick.time_msc && !IsSameTick(m_gone.m_ticks[index],tick))
      index++;
   if(index>=m_gone.End() || m_gone.m_ticks[index].time_msc!=tick.time_msc)
      return(false);
   m_gone.Remove(index);
//--- Number remembers it once more: forget the first time
   index=FindTickFrom(m_memory.m_ticks,m_memory.Begin(),m_memory.End(),tick.time_msc);
   while(index<m_memory.End() && !IsSameTick(m_memory.m_ticks[index],tick))
      index++;
   if(index<m_memory.End())
      m_memory.Remove(index);
   return(true);
  }

//+------------------------------------------------------------------+
//| Looking back                                                     |
//+------------------------------------------------------------------+

// Where what was found ends at the cursor's millisecond, and the cursor that fits it: the same as
// before when further ticks of this millisecond simply follow.
void CTickStream::FindFit(const MqlTick &found[],const int total,int &end,SCursor &cursor) const
  {
   const long time_msc=m_cursor.time_msc;
   const int begin=FindTickFrom(found,0,total,time_msc);
   end=FindTickBehind(found,begin,total,time_msc);
   int taken_end=end;
   if((long)m_cursor.ticks<(long)(end-begin))
      taken_end=begin+(int)m_cursor.ticks;
   CCursor::Over(cursor,time_msc,found,begin,taken_end);
   if(CCursor::Same(cursor,m_cursor))
      end=taken_end;
   else
      CCursor::Over(cursor,time_msc,found,begin,end);
  }

bool CTickStream::IsTaken(const MqlTick &found[],const int end,const int split) const
  {
   const int begin=m_memory.Begin();
   if(split-begin!=end)
      return(false);
   for(int i=0; i<end; i++)
      if(!IsSameTick(m_memory.m_ticks[begin+i],found[i]))
         return(false);
   return(true);
  }

// Mark in m_matched which of the memory's [from,to) are among found[begin..end), all of one
// millisecond; append the found ones that are not in the memory to m_late. Return how many.
int CTickStream::GroupLate(const MqlTick &found[],const int begin,const int end,const int from,const int to)
  {
   int late=0;
   int same=0;
   while(begin+same<end && from+same<to && IsSameTick(found[begin+same],m_memory.m_ticks[from+same]))
     {
      m_matched[from+same]=true;
      same++;
     }
   for(int i=begin+same; i<end; i++)
     {
      bool known=false;
      for(int k=from+same; k<to && !known; k++)
         if(!m_matched[k] && IsSameTick(found[i],m_memory.m_ticks[k]))
           {
            m_matched[k]=true;
            known=true;
           }
      if(!known)
        {
         late++;
         if(IsUsableTick(found[i]) && !m_late.Push(found[i]))
            late--;
        }
     }
   return(late);
  }

// Compare the history from m_memory_from_msc through a time with what was taken, as multisets:
// how many ticks were found late, and how many are gone. The late ones wait in m_late; the cursor
// is at the same time, and fits the history as it is now. False when there is no memory.
bool CTickStream::Compare(const MqlTick &found[],const int total,const long through_msc,int &late,int &gone)
  {
   late=0;
   gone=0;
   int end=total;
   SCursor cursor={};
   cursor=m_cursor;
   if(through_msc>=m_cursor.time_msc)
      FindFit(found,total,end,cursor);
   const int split=FindTickBehind(m_memory.m_ticks,m_memory.Begin(),m_memory.End(),through_msc);
   if(IsTaken(found,end,split))
      return(true);
   const int rest=m_memory.End()-split;
   const int most=end+(split-m_memory.Begin())+rest;
   if(!ReserveTicks(m_joined,most) || !m_late.Reserve(end))
      return(false);
   const int cells=m_memory.End();
   if(ArraySize(m_matched)<cells && ArrayResize(m_matched,cells,cells/2)!=cells)
      return(false);
   CTickQueue still_gone;
//--- millisecond by millisecond, because both sides are in order of time
   int at=0;
   int mine=m_memory.Begin();
   int old=m_gone.Begin();
   int joined=0;
   while(at<end || mine<split)
     {
      long time_msc=LONG_MAX;
      if(at<end)
         time_msc=found[at].time_msc;
      if(mine<split && m_memory.m_ticks[mine].time_msc<time_msc)
         time_msc=m_memory.m_ticks[mine].time_msc;
      const int at_end=FindTickBehind(found,at,end,time_msc);
      const int mine_end=FindTickBehind(m_memory.m_ticks,mine,split,time_msc);
      for(int i=mine; i<mine_end; i++)
         m_matched[i]=false;
      late+=GroupLate(found,at,at_end,mine,mine_end);
      for(int i=at; i<at_end; i++)
        {
         m_joined[joined]=found[i];
         joined++;
        }
      //--- what is gone stays in the memory behind what is there
      old=FindTickFrom(m_gone.m_ticks,old,m_gone.End(),time_msc);
      const int old_end=FindTickBehind(m_gone.m_ticks,old,m_gone.End(),time_msc);
      const int first_gone=still_gone.End();
      for(int i=mine; i<mine_end; i++)
         if(!m_matched[i])
           {
            m_joined[joined]=m_memory.m_ticks[i];
            joined++;
            if(!still_gone.Push(m_memory.m_ticks[i]))
               return(false);
           }
      //--- what was known to be gone is not counted again
      int news=still_gone.End()-first_gone;
      for(int i=old; i<old_end; i++)
        {
         bool known=false;
         for(int k=first_gone; k<still_gone.End() && !known; k++)
            known=IsSameTick(m_gone.m_ticks[i],still_gone.m_ticks[k]);
         if(known && news>0)
            news--;
        }
      gone+=news;
      at=at_end;
      mine=mine_end;
     }
   for(int i=split; i<m_memory.End(); i++)
     {
      m_joined[joined]=m_memory.m_ticks[i];
      joined++;
     }
   const int later=FindTickBehind(m_gone.m_ticks,m_gone.Begin(),m_gone.End(),through_msc);
   if(!still_gone.Append(m_gone.m_ticks,later,m_gone.End()))
      return(false);
   m_gone.Clear();
   if(!m_gone.Append(still_gone.m_ticks,still_gone.Begin(),still_gone.End()))
      return(false);
   m_memory.Clear();
   if(!m_memory.Append(m_joined,0,joined))
      return(false);
   if(!CCursor::Same(cursor,m_cursor))
     {
      m_cursor=cursor;
      m_log.SetLastCursor(cursor);
     }
   if(gone>0)
      m_disorder_seq=m_next_seq-1;
   return(true);
  }

// Whether this reading of the history begins with the one before.
bool CTickStream::AgreesWithPrevious(const MqlTick &found[],const int total) const
  {
   if(!m_has_previous || m_previous.Count()>total)
      return(false);
   for(int i=0; i<m_previous.Count(); i++)
      if(!IsSameTick(m_previous.m_ticks[m_previous.Begin()+i],found[i]))
         return(false);
   return(true);
  }

void CTickStream::SetPrevious(const MqlTick &found[],const int total)
  {
   m_previous.Clear();
   m_has_previous=m_previous.Append(found,0,total);
  }

// Forget the oldest of log and memory; never what is not sent yet.
void CTickStream::Prune(const int log_records)
  {
   long keep=log_records;
   if((long)Unsent()>keep)
      keep=(long)Unsent();
   if(m_log.Count()>keep)
      m_log.Drop(m_log.Count()-(int)keep);
   const long newest_msc=m_cursor.time_msc;
   long oldest_msc=newest_msc-STREAM_MEMORY_MSC;
   if(m_pinned && m_pinned_msc<oldest_msc)
      oldest_msc=m_pinned_msc;
   const int count=m_memory.Count();
   const bool too_many=(count>STREAM_MEMORY_TICKS/4*5);
//--- in portions, because cutting off moves the rest now and then
   if(!too_many && (count==0 || m_memory.m_ticks[m_memory.Begin()].time_msc>=oldest_msc-STREAM_MEMORY_MSC/4))
      return;
   if(too_many)
     {
      const long kept_msc=m_memory.m_ticks[m_memory.End()-STREAM_MEMORY_TICKS].time_msc;
      if(kept_msc>oldest_msc)
         oldest_msc=kept_msc;
     }
   if(oldest_msc>newest_msc)
      oldest_msc=newest_msc;
   const int cut=FindTickFrom(m_memory.m_ticks,m_memory.Begin(),m_memory.End(),oldest_msc);
   m_memory.DropFront(cut-m_memory.Begin());
   if(oldest_msc>m_memory_from_msc)
      m_memory_from_msc=oldest_msc;
   const int old=FindTickFrom(m_gone.m_ticks,m_gone.Begin(),m_gone.End(),oldest_msc);
   m_gone.DropFront(old-m_gone.Begin());
  }

#endif // BRIDGE_MARKET_TICKSTREAM_MQH
