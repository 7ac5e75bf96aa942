//+------------------------------------------------------------------+
//|                                                TickCollector.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Complete ticks of any number of symbols: read by cursor, numbered, logged, sent in runs.
//
// Each symbol that the relay subscribed to is a stream: an epoch, the next number, a cursor into
// the terminal's history, a log of the records numbered last, and a number that says what is sent
// next. Poll reads on from the cursor, Take gives the body of the next TICKS frame.
//
// Rule 1: the log is the send queue. A record in it never changes: what the relay did not take is
// sent again byte for byte.
// Rule 2: a read moves the cursor only when it gave n >= 0 and no error, and only when the ticks
// at the cursor's millisecond are the ones that were taken (their CRC).
// Rule 3: what was taken is remembered for a minute of ticks. When the CRC does not fit, after an
// outage of the trade server's link, and every now and then, history is read again and compared
// with that memory: MQL5 reports no error for ticks that are filled in later. What is new behind
// the cursor is numbered next and flagged LATE, what is gone is counted.
// Rule 4: late ticks go before newer ones, and the cursor behind a late record fits no history
// until all that were found together are numbered.
// Rule 5: a number is given once in an epoch. Whoever cannot keep that begins a new epoch.
// Rule 6: nothing is read while the relay does not listen; the history is the longer queue.
// Rule 7: a stream is read when it is due: its newest tick is not the one that was seen last, or
// something was left to do. Now and then all are due: ticks may hide behind an equal last one.
//
// What must change together: this file, TickStream, Resumption, "Streams" in
// docs/reference/wire-protocol.md and bridge/sim/collector.py.

#ifndef BRIDGE_MARKET_TICKCOLLECTOR_MQH
#define BRIDGE_MARKET_TICKCOLLECTOR_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Support/Clock.mqh>
#include <Bridge/Market/Symbols.mqh>
#include <Bridge/Market/TickReader.mqh>
#include <Bridge/Market/TickStream.mqh>
#include <Bridge/Market/ReadyStreams.mqh>
#include <Bridge/Market/Resumption.mqh>

//--- records kept of a symbol; twice what the window of unacknowledged frames can hold
#define COLLECTOR_LOG_RECORDS    4096
//--- with more than this unsent, a symbol is not read on
#define COLLECTOR_UNSENT_MAX     512
#define COLLECTOR_STREAMS_MAX    1024
//--- the body of one TICKS frame
#define COLLECTOR_BODY_MAX       (WIRE_MARKET_FRAME_MAX-WIRE_FRAME_OVERHEAD)
//--- between the two reads that must agree after an outage, and when they may disagree no longer
#define COLLECTOR_SETTLE_US      500000
#define COLLECTOR_SETTLE_MAX_US  30000000
//--- after an outage or a resumption history may still be filled in: looked at often, so long
#define COLLECTOR_WATCH_EVERY_US 2000000
#define COLLECTOR_WATCH_US       60000000
#define COLLECTOR_AUDIT_EVERY_US 20000000
//--- after a read that was refused
#define COLLECTOR_RETRY_US       200000
//--- one poll reads on for no longer, so that commands are heard; the next one goes on behind
#define COLLECTOR_POLL_US        20000
//--- a poll that may block stops behind a read that took so long: the next one is announced anew
#define COLLECTOR_BLOCKED_US     500000

//+------------------------------------------------------------------+
//| The streams of one terminal                                      |
//+------------------------------------------------------------------+
class CTickCollector
  {
private:
   CSymbols          m_symbols;
   CTickReader      *m_reader;
   CTickStream      *m_streams[];       // all that were ever begun
   CTickStream      *m_active[];        // those that the relay listens to
   int               m_active_total;
   int               m_turn;            // where the next poll begins
   uint              m_last_id;
   CReadyStreams     m_ready;           // those that wait to be sent
   bool              m_connected;
   int               m_log_records;
   long              m_audit_every_us;  // 0: never
   int               m_utc_offset_min;
   long              m_numbered;
   long              m_late;
   long              m_revised;
   MqlTick           m_ticks[];         // what was read
   uchar             m_records[];       // of one run

   CTickStream      *Known(const string symbol) const;
   uint              Admit(const SSubscribe &subscribe,const int slot,const CTickStream *known,string &text);
   bool              Activate(CTickStream *stream);
   void              Deactivate(CTickStream *stream);
   void              Open(CTickStream *stream,const SSubscribe &subscribe,CStart &start,const long now_us,
                          SStream &answer,SGap &gap);
   void              PollStream(CTickStream *stream,const long now_us);
   bool              ReadOn(CTickStream *stream);
   void              NumberLate(CTickStream *stream,const long now_us);
   void              Numbered(CTickStream *stream,const ulong before);
   void              LookBack(CTickStream *stream,const long now_us);
   void              Settle(CTickStream *stream,const long now_us);
   bool              Compare(CTickStream *stream);

public:
                     CTickCollector(void);
                    ~CTickCollector(void);
   CSymbols         *Symbols(void) { return(GetPointer(m_symbols)); }
   CTickReader      *Reader(void) const { return(m_reader); }
   int               Streams(void) const { return(m_active_total); }
   long              TicksNumbered(void) const { return(m_numbered); }
   long              TicksLate(void) const { return(m_late); }
   long              TicksRevised(void) const { return(m_revised); }
   void              UtcOffsetMin(const int minutes) { m_utc_offset_min=minutes; }
   void              Limits(const int log_records,const long audit_every_us);
   //--- what the relay asks for
   bool              MayBlock(const SSubscribe &subscribe);
   bool              Begin(const SSubscribe &subscribe,const long now_us,const long time_current_msc,
                           SStream &answer,SGap &gap);
   void              End(const uint symbol_id);
   void              Rewind(void);
   void              Forget(void);
   void              Acknowledged(void);
   //--- what the terminal does
   bool              WantsBlocking(const long now_us) const;
   void              Poll(const long now_us,const bool may_block,const CClock &clock);
   void              ExpectAll(void);
   bool              Expect(const string symbol);
   bool              LookForNews(const long now_us);
   bool              Take(const long now_us,CByteBuffer &body,const int max_bytes=COLLECTOR_BODY_MAX);
   bool              WantsToSend(void) const { return(m_ready.First()!=NULL); }
   void              OutageBegan(void);
   void              OutageEnded(const long now_us);
   bool              KeepsUp(void) const;
  };

// The answer to a SUBSCRIBE that begins no stream.
void RefuseSubscribe(const SSubscribe &subscribe,const uint code,const string text,SStream &answer)
  {
   SStream refusal={};
   refusal.request_id=subscribe.request_id;
   refusal.code=code;
   refusal.text=ClipText(text,250);
   answer=refusal;
  }

CTickCollector::CTickCollector(void) : m_active_total(0),
                                       m_turn(0),
                                       m_last_id(0),
                                       m_connected(true),
                                       m_log_records(COLLECTOR_LOG_RECORDS),
                                       m_audit_every_us(COLLECTOR_AUDIT_EVERY_US),
                                       m_utc_offset_min(0),
                                       m_numbered(0),
                                       m_late(0),
                                       m_revised(0)
  {
   m_reader=new CTickReader(GetPointer(m_symbols));
  }

CTickCollector::~CTickCollector(void)
  {
   for(int i=0; i<ArraySize(m_streams); i++)
      delete m_streams[i];
   delete m_reader;
  }

// Other limits than the usual ones: records kept of each symbol, and how often what was taken is
// compared with the history.
void CTickCollector::Limits(const int log_records,const long audit_every_us)
  {
   m_log_records=log_records;
   m_audit_every_us=audit_every_us;
  }

//+------------------------------------------------------------------+
//| What the relay asks for                                          |
//+------------------------------------------------------------------+

CTickStream *CTickCollector::Known(const string symbol) const
  {
   for(int i=0; i<ArraySize(m_streams); i++)
      if(m_streams[i].m_symbol==symbol)
         return(m_streams[i]);
   return(NULL);
  }

// Whether beginning this stream may block for up to 45 s: send BUSY first.
bool CTickCollector::MayBlock(const SSubscribe &subscribe)
  {
   if(subscribe.kind!=(uint)STREAM_KIND_TICK || !m_symbols.Exists(subscribe.symbol))
      return(false);
   const int slot=m_symbols.Slot(subscribe.symbol);
   if(slot<0)
      return(false);
   if(subscribe.has_resume)
      return(m_symbols.MayBlockFrom(slot,subscribe.resume.cursor.time_msc));
   return(m_symbols.MayBlock(slot));
  }

// Begin a stream (or begin it again): fill the answer, and the gap that follows it when the result
// is true. With NOT_SYNCHRONISED nothing has changed: try again later.
// time_current_msc: TimeCurrent, where a symbol without any tick begins.
bool CTickCollector::Begin(const SSubscribe &subscribe,const long now_us,const long time_current_msc,
                           SStream &answer,SGap &gap)
  {
   string text="";
   CTickStream *stream=Known(subscribe.symbol);
   int slot=-1;
   if(m_symbols.Exists(subscribe.symbol))
      slot=m_symbols.Slot(subscribe.symbol);
   const uint code=Admit(subscribe,slot,stream,text);
   if(code!=(uint)ERROR_CODE_OK)
     {
      RefuseSubscribe(subscribe,code,text,answer);
      return(false);
     }
//--- late ticks must be known before any place behind them is chosen
   if(stream!=NULL && !Compare(stream))
     {
      RefuseSubscribe(subscribe,(uint)ERROR_CODE_NOT_SYNCHRONISED,m_reader.LoadingText(slot),answer);
      return(false);
     }
   CStart start;
   CResumption resumption(m_reader,stream,slot,subscribe,time_current_msc);
   resumption.Decide(start);
   if(start.m_code==(uint)ERROR_CODE_OK && stream==NULL)
     {
      const int total=ArraySize(m_streams);
      const string name=subscribe.symbol;
      if(ArrayResize(m_streams,total+1,64)==total+1)
        {
         stream=new CTickStream(name,slot,(int)SymbolInfoInteger(name,SYMBOL_DIGITS),SymbolInfoDouble(name,SYMBOL_POINT));
         m_streams[total]=stream;
        }
     }
   if(start.m_code==(uint)ERROR_CODE_OK && (stream==NULL || !Activate(stream)))
     {
      start.m_code=(uint)ERROR_CODE_TERMINAL_ERROR;
      start.m_text="the terminal has no memory left";
     }
   if(start.m_code!=(uint)ERROR_CODE_OK)
     {
      RefuseSubscribe(subscribe,start.m_code,start.m_text,answer);
      return(false);
     }
   Open(stream,subscribe,start,now_us,answer,gap);
   return(start.m_reason!=0);
  }

uint CTickCollector::Admit(const SSubscribe &subscribe,const int slot,const CTickStream *known,string &text)
  {
   if(subscribe.kind!=(uint)STREAM_KIND_TICK)
     {
      text="this terminal streams ticks only";
      return((uint)ERROR_CODE_UNSUPPORTED);
     }
   if(slot<0)
     {
      text="the terminal has no symbol '"+subscribe.symbol+"': take the exact name, case and suffix included, "
           "from its Market Watch";
      return((uint)ERROR_CODE_UNKNOWN_SYMBOL);
     }
   const int error=m_symbols.Select(slot);
   if(error!=0)
     {
      text="the terminal cannot show '"+subscribe.symbol+"' in Market Watch (error "+IntegerToString(error)+")";
      return((uint)ERROR_CODE_SYMBOL_NOT_SELECTED);
     }
   if((known==NULL || known.m_symbol_id==0) && m_active_total>=COLLECTOR_STREAMS_MAX)
     {
      text=IntegerToString(COLLECTOR_STREAMS_MAX)+" streams are running: unsubscribe some first";
      return((uint)ERROR_CODE_TOO_MANY);
     }
   return((uint)ERROR_CODE_OK);
  }

// Put a stream behind the others that the relay listens to.
bool CTickCollector::Activate(CTickStream *stream)
  {
   Deactivate(stream);
   if(ArraySize(m_active)<=m_active_total && ArrayResize(m_active,m_active_total+1,64)!=m_active_total+1)
      return(false);
   m_active[m_active_total]=stream;
   m_active_total++;
   return(true);
  }

void CTickCollector::Deactivate(CTickStream *stream)
  {
   int kept=0;
   for(int i=0; i<m_active_total; i++)
      if(m_active[i]!=stream)
        {
         m_active[kept]=m_active[i];
         kept++;
        }
   m_active_total=kept;
  }

void CTickCollector::Open(CTickStream *stream,const SSubscribe &subscribe,CStart &start,const long now_us,
                          SStream &answer,SGap &gap)
  {
//--- a new id each time: an UNSUBSCRIBE of the old one that is on its way means nothing
   m_last_id++;
   stream.m_symbol_id=m_last_id;
   if(start.m_has_place)
     {
      stream.Place(start.m_epoch,start.m_first_seq,start.m_place,start.m_taken,start.m_taken_total,start.m_from_msc);
      if(start.m_has_first)
        {
         if(stream.Number(start.m_first,0,1,TICK_EXTRA_BACKLOG,m_utc_offset_min))
            m_numbered++;
        }
      if(!stream.m_late.Append(start.m_late.m_ticks,start.m_late.Begin(),start.m_late.End()))
         m_revised+=start.m_late.Count();
      //--- a hole that an outage left may be filled only now
      stream.m_pinned=true;
      stream.m_pinned_msc=start.m_from_msc;
      stream.m_watch_until_us=now_us+COLLECTOR_WATCH_US;
      stream.m_look_again_us=now_us+COLLECTOR_WATCH_EVERY_US;
     }
   m_symbols.OpenBook(stream.m_slot);
   stream.m_send_seq=start.m_first_seq;
   stream.m_not_before_us=0;
   stream.m_catching_up=true;
   stream.m_behind=true;
   m_ready.Dequeue(stream);
   m_ready.Enqueue(stream);
   answer.request_id=subscribe.request_id;
   answer.code=(uint)ERROR_CODE_OK;
   answer.text="";
   answer.symbol_id=stream.m_symbol_id;
   answer.epoch=(uint)start.m_epoch;
   answer.first_seq=start.m_first_seq;
   answer.continuity=start.m_continuity;
   answer.digits=(uint)stream.m_digits;
   answer.point=stream.m_point;
   if(start.m_reason==0)
      return;
   gap.symbol_id=stream.m_symbol_id;
   gap.reason=start.m_reason;
   gap.old_epoch=0;
   gap.old_seq=0;
   CCursor::Set(gap.old_cursor,0,0,0);
   if(subscribe.has_resume)
     {
      gap.old_epoch=subscribe.resume.epoch;
      gap.old_seq=subscribe.resume.seq;
      gap.old_cursor=subscribe.resume.cursor;
     }
   gap.epoch=(uint)start.m_epoch;
   gap.first_seq=start.m_first_seq;
   gap.cursor=start.m_cursor;
   gap.text=ClipText(start.m_text,250);
  }

// Stop a stream and forget its id; an unknown id means nothing.
void CTickCollector::End(const uint symbol_id)
  {
   for(int i=0; i<m_active_total; i++)
     {
      CTickStream *stream=m_active[i];
      if(stream.m_symbol_id==symbol_id)
        {
         m_ready.Dequeue(stream);
         Deactivate(stream);
         stream.GiveUp();
         m_symbols.Release(stream.m_slot);
         return;
        }
     }
  }

// The link to the relay is lost: nothing is read or sent until the streams begin again.
void CTickCollector::Rewind(void)
  {
   for(int i=0; i<m_active_total; i++)
     {
      m_active[i].m_symbol_id=0;
      m_active[i].m_queued=false;
      m_active[i].m_next_ready=NULL;
     }
   m_active_total=0;
   m_ready.Clear();
  }

// Forget all streams: the account is another one, and so is its history.
void CTickCollector::Forget(void)
  {
   Rewind();
   for(int i=0; i<ArraySize(m_streams); i++)
      delete m_streams[i];
   ArrayFree(m_streams);
   m_symbols.CloseBooks();
   m_symbols.ConnectionWasLost();
  }

// The relay has taken everything that was given out so far.
void CTickCollector::Acknowledged(void)
  {
   for(int i=0; i<m_active_total; i++)
      if(m_active[i].m_send_seq>m_active[i].m_log.FirstSeq())
         m_active[i].m_acknowledged=true;
  }

//+------------------------------------------------------------------+
//| What the terminal does                                           |
//+------------------------------------------------------------------+

// Whether a stream waits for a poll that may block.
bool CTickCollector::WantsBlocking(const long now_us) const
  {
   for(int i=0; i<m_active_total; i++)
      if(m_symbols.MayBlock(m_active[i].m_slot) && now_us>=m_active[i].m_not_before_us)
         return(true);
   return(false);
  }

// Read on, and back, where that is due; without may_block only what will not block.
void CTickCollector::Poll(const long now_us,const bool may_block,const CClock &clock)
  {
   const int total=m_active_total;
   int first=m_turn;
   if(first>=total)
      first=0;
   m_turn=0;
   const long begin_us=clock.NowUs();
   long last_us=begin_us;
   for(int i=0; i<total; i++)
     {
      const int index=(first+i)%total;
      CTickStream *stream=m_active[index];
      if(stream.Unsent()>COLLECTOR_UNSENT_MAX || now_us<stream.m_not_before_us)
         continue;
      if(m_symbols.MayBlock(stream.m_slot) ? !may_block : !stream.IsDue())
         continue;
      PollStream(stream,now_us);
      const long time_us=clock.NowUs();
      if(time_us-begin_us>=COLLECTOR_POLL_US && (!may_block || time_us-last_us>=COLLECTOR_BLOCKED_US))
        {
         m_turn=index+1;
         return;
        }
      last_us=time_us;
     }
  }

void CTickCollector::PollStream(CTickStream *stream,const long now_us)
  {
   if(stream.m_late.Count()==0)
      LookBack(stream,now_us);
   if(stream.m_late.Count()>0)
      NumberLate(stream,now_us);
   else
      if(!stream.m_settling && !ReadOn(stream))
         stream.m_not_before_us=now_us+COLLECTOR_RETRY_US;
  }

// The next poll reads all streams.
void CTickCollector::ExpectAll(void)
  {
   for(int i=0; i<m_active_total; i++)
      m_active[i].m_due=true;
  }

// Look for news of one symbol. False: the relay does not listen to it.
bool CTickCollector::Expect(const string symbol)
  {
   for(int i=0; i<m_active_total; i++)
      if(m_active[i].m_symbol==symbol)
        {
         m_active[i].LookForNews();
         return(true);
        }
   return(false);
  }

// Look for news of all symbols: cheaper than reading, so it may be done every millisecond. True: a
// poll would find something to read.
bool CTickCollector::LookForNews(const long now_us)
  {
   bool any=false;
   for(int i=0; i<m_active_total; i++)
     {
      CTickStream *stream=m_active[i];
      if(stream.m_settling || stream.Unsent()>COLLECTOR_UNSENT_MAX || now_us<stream.m_not_before_us)
         continue;
      stream.LookForNews();
      if(stream.IsDue())
         any=true;
     }
   return(any);
  }

// Fill the body of the next TICKS frame; false when nothing waits. Symbols take turns. What was
// given out counts as sent.
bool CTickCollector::Take(const long now_us,CByteBuffer &body,const int max_bytes)
  {
   body.Clear();
   int room=max_bytes;
   while(m_ready.First()!=NULL && room>=WIRE_RUN_HEADER_SIZE+RECORD_SIZE)
     {
      CTickStream *stream=m_ready.First();
      m_ready.Dequeue(stream);
      int length=(room-WIRE_RUN_HEADER_SIZE)/RECORD_SIZE;
      if(stream.Unsent()<(ulong)length)
         length=(int)stream.Unsent();
      const int size=length*RECORD_SIZE;
      if(length<=0 || (ArraySize(m_records)<size && ArrayResize(m_records,size)!=size)
         || !stream.m_log.CopyRecords(stream.m_send_seq,length,m_records,0))
         break;
      SCursor behind={};
      stream.m_log.CursorBehind(stream.m_send_seq+(ulong)length-1,behind);
      body.U32LE(stream.m_symbol_id);
      body.U32LE((uint)length);
      body.U64LE(stream.m_send_seq);
      body.U64LE((ulong)now_us);
      body.U64LE((ulong)behind.time_msc);
      body.U32LE(behind.ticks);
      body.U32LE(behind.crc);
      body.Append(m_records,0,size);
      room-=WIRE_RUN_HEADER_SIZE+size;
      stream.m_send_seq+=(ulong)length;
      m_ready.Enqueue(stream);
     }
   return(body.Size()>0 && !body.Failed());
  }

// TERMINAL_CONNECTED turned false: keep the memory from a minute before on.
void CTickCollector::OutageBegan(void)
  {
   m_connected=false;
   for(int i=0; i<ArraySize(m_streams); i++)
      m_streams[i].Pin(m_streams[i].m_cursor.time_msc-STREAM_MEMORY_MSC);
  }

// TERMINAL_CONNECTED turned true: read again until two readings agree, then go on.
void CTickCollector::OutageEnded(const long now_us)
  {
   m_connected=true;
   m_symbols.ConnectionWasLost();
   for(int i=0; i<ArraySize(m_streams); i++)
     {
      CTickStream *stream=m_streams[i];
      if(stream.m_kept)
        {
         stream.m_settling=true;
         stream.m_settling_since_us=now_us;
         stream.m_has_previous=false;
         stream.m_look_again_us=now_us;
         stream.m_catching_up=true;
         stream.m_behind=true;
        }
     }
  }

// Whether everything that was there at the last poll is read and mostly sent.
bool CTickCollector::KeepsUp(void) const
  {
   for(int i=0; i<ArraySize(m_streams); i++)
     {
      const CTickStream *stream=m_streams[i];
      if(stream.m_kept && (stream.m_symbol_id==0 || stream.m_behind || stream.Unsent()>COLLECTOR_UNSENT_MAX))
         return(false);
     }
   return(true);
  }

//+------------------------------------------------------------------+
//| Inside                                                           |
//+------------------------------------------------------------------+

bool CTickCollector::ReadOn(CTickStream *stream)
  {
   const int skipped=(int)stream.m_cursor.ticks;
   const int wanted=skipped+STREAM_BATCH;
   long from_msc=stream.m_cursor.time_msc;
   if(from_msc<1)
      from_msc=1;
   int total=0;
   if(!m_reader.Read(stream.m_slot,from_msc,wanted,m_ticks,total))
      return(false);
   int taken=skipped;
   if(taken>total)
      taken=total;
   SCursor there={};
   CCursor::Over(there,stream.m_cursor.time_msc,m_ticks,0,taken);
   if(!CCursor::Same(there,stream.m_cursor))
      return(Compare(stream));
   if(total>skipped)
     {
      const ulong before=stream.m_next_seq;
      uint flags=0;
      if(stream.m_catching_up)
         flags=TICK_EXTRA_BACKLOG;
      if(!stream.Number(m_ticks,skipped,total,flags,m_utc_offset_min))
         return(false);
      Numbered(stream,before);
     }
   stream.m_due=false;
   stream.m_behind=(total==wanted);
   if(!stream.m_behind)
      stream.m_catching_up=false;
   return(true);
  }

void CTickCollector::NumberLate(CTickStream *stream,const long now_us)
  {
   const ulong before=stream.m_next_seq;
   if(!stream.NumberLate(m_utc_offset_min))
      stream.m_not_before_us=now_us+COLLECTOR_RETRY_US;
   Numbered(stream,before);
  }

void CTickCollector::Numbered(CTickStream *stream,const ulong before)
  {
   m_numbered+=(long)(stream.m_next_seq-before);
   stream.Prune(m_log_records);
   m_ready.Enqueue(stream);
  }

void CTickCollector::LookBack(CTickStream *stream,const long now_us)
  {
   if(now_us<stream.m_look_again_us)
      return;
   if(stream.m_settling)
     {
      stream.m_look_again_us=now_us+COLLECTOR_SETTLE_US;
      Settle(stream,now_us);
     }
   else
      if(now_us<stream.m_watch_until_us)
        {
         stream.m_look_again_us=now_us+COLLECTOR_WATCH_EVERY_US;
         Compare(stream);
        }
      else
        {
         if(m_connected)
            stream.m_pinned=false;
         stream.m_look_again_us=now_us+(m_audit_every_us>0 ? m_audit_every_us : COLLECTOR_AUDIT_EVERY_US);
         if(m_audit_every_us>0)
            Compare(stream);
        }
  }

void CTickCollector::Settle(CTickStream *stream,const long now_us)
  {
   int total=0;
   long end_msc=0;
//--- live prices must not wait for ever; what comes later is found by watching
   bool agreed=(now_us-stream.m_settling_since_us>=COLLECTOR_SETTLE_MAX_US);
   if(m_reader.ReadRange(stream.m_slot,stream.m_memory_from_msc,TICK_END_OF_TIME,m_ticks,total,end_msc))
     {
      if(stream.AgreesWithPrevious(m_ticks,total))
         agreed=true;
      stream.SetPrevious(m_ticks,total);
     }
   if(!agreed)
      return;
   stream.m_settling=false;
   stream.m_has_previous=false;
   stream.m_watch_until_us=now_us+COLLECTOR_WATCH_US;
   stream.m_look_again_us=now_us+COLLECTOR_WATCH_EVERY_US;
   Compare(stream);
  }

// Compare the history with what was taken. False: it cannot be read now.
bool CTickCollector::Compare(CTickStream *stream)
  {
   int total=0;
   long end_msc=0;
   if(!m_reader.ReadRange(stream.m_slot,stream.m_memory_from_msc,stream.m_cursor.time_msc,m_ticks,total,end_msc))
      return(false);
   int late=0;
   int gone=0;
   if(!stream.Compare(m_ticks,total,end_msc,late,gone))
      return(false);
   m_late+=late;
   m_revised+=gone;
   stream.Prune(m_log_records);
   return(true);
  }

#endif // BRIDGE_MARKET_TICKCOLLECTOR_MQH
