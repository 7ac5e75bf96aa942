//+------------------------------------------------------------------+
//|                                                      TickLog.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The records numbered last with the cursor behind each: what the relay wants again comes from
// here, byte for byte, and what it has not got yet waits here to be sent.
//
// A ring: the place of a record is its number modulo the capacity, so nothing is ever moved.
// What must change together: this file, TickLog in bridge/sim/tickstream.py and "The record" in
// docs/reference/wire-protocol.md.

#ifndef BRIDGE_MARKET_TICKLOG_MQH
#define BRIDGE_MARKET_TICKLOG_MQH

#include <Bridge/Market/Cursor.mqh>

#define LOG_CAPACITY_FIRST 256

//+------------------------------------------------------------------+
//| Numbered records and the cursor behind each                      |
//+------------------------------------------------------------------+
class CTickLog
  {
private:
   uchar             m_records[];
   SCursor           m_cursors[];
   int               m_capacity;
   int               m_count;
   ulong             m_first_seq;
   SCursor           m_before;

   int               Slot(const ulong seq) const { return((int)(seq%(ulong)m_capacity)); }

public:
                     CTickLog(void);
   int               Count(void) const { return(m_count); }
   ulong             FirstSeq(void) const { return(m_first_seq); }
   void              Before(SCursor &cursor) const;
   void              CursorBehind(const ulong seq,SCursor &cursor) const;
   void              SetLastCursor(const SCursor &cursor);
   void              Begin(const ulong first_seq,const SCursor &before);
   bool              Reserve(const int more);
   void              Append(const uint epoch,const MqlTick &tick,const uint extra_flags,
                            const int utc_offset_min,const SCursor &behind);
   void              Drop(const int length);
   bool              CopyRecords(const ulong seq,const int length,uchar &bytes[],const int at) const;
  };

CTickLog::CTickLog(void) : m_capacity(1),
                           m_count(0),
                           m_first_seq(1)
  {
   CCursor::Set(m_before,0,0,0);
  }

// Forget all records; the next one has this number. The memory is kept.
void CTickLog::Begin(const ulong first_seq,const SCursor &before)
  {
   m_first_seq=first_seq;
   m_count=0;
   m_before=before;
  }

// Make room for further records; false when there is no memory, and nothing has changed.
bool CTickLog::Reserve(const int more)
  {
   const int wanted=m_count+more;
   if(wanted<=m_capacity && ArraySize(m_records)>0)
      return(true);
   int capacity=m_capacity;
   if(capacity<LOG_CAPACITY_FIRST)
      capacity=LOG_CAPACITY_FIRST;
   while(capacity<wanted)
      capacity=capacity+capacity/2;
//--- the ring begins at another place in the larger array: copy record by record
   uchar records[];
   SCursor cursors[];
   if(ArrayResize(records,capacity*RECORD_SIZE)!=capacity*RECORD_SIZE || ArrayResize(cursors,capacity)!=capacity)
      return(false);
   for(int i=0; i<m_count; i++)
     {
      const ulong seq=m_first_seq+(ulong)i;
      const int from=Slot(seq);
      const int to=(int)(seq%(ulong)capacity);
      if(ArrayCopy(records,m_records,to*RECORD_SIZE,from*RECORD_SIZE,RECORD_SIZE)!=RECORD_SIZE)
         return(false);
      cursors[to]=m_cursors[from];
     }
   if(!ArraySwap(m_records,records))
      return(false);
   if(!ArraySwap(m_cursors,cursors))
     {
      //--- never seen; both or none
      if(!ArraySwap(m_records,records))
         m_count=0;
      return(false);
     }
   m_capacity=capacity;
   return(true);
  }

// Make the next record; Reserve has made room for it. Hot path.
void CTickLog::Append(const uint epoch,const MqlTick &tick,const uint extra_flags,
                      const int utc_offset_min,const SCursor &behind)
  {
   const ulong seq=m_first_seq+(ulong)m_count;
   const int slot=Slot(seq);
   const int at=slot*RECORD_SIZE;
   m_records[at]=0x99;
   m_records[at+1]=0xCE;
   PutU32BE(m_records,at+RECORD_AT_EPOCH,epoch);
   m_records[at+6]=0xCF;
   PutU64BE(m_records,at+RECORD_AT_SEQ,seq);
   m_records[at+15]=0xD3;
   PutU64BE(m_records,at+RECORD_AT_TIME_MSC,(ulong)tick.time_msc);
   m_records[at+24]=0xCB;
   PutF64BE(m_records,at+RECORD_AT_BID,tick.bid);
   m_records[at+33]=0xCB;
   PutF64BE(m_records,at+RECORD_AT_ASK,tick.ask);
   m_records[at+42]=0xCB;
   PutF64BE(m_records,at+RECORD_AT_LAST,tick.last);
   m_records[at+51]=0xCB;
   PutF64BE(m_records,at+RECORD_AT_VOLUME_REAL,tick.volume_real);
//--- MetaTrader's flags are the lowest eight bits, those above are ours
   m_records[at+60]=0xCD;
   PutU16BE(m_records,at+RECORD_AT_FLAGS,(tick.flags&0xFF)|extra_flags);
   m_records[at+63]=0xD1;
   PutU16BE(m_records,at+RECORD_AT_UTC_OFFSET_MIN,(uint)utc_offset_min);
   m_cursors[slot]=behind;
   m_count++;
  }

// The cursor before the first record.
void CTickLog::Before(SCursor &cursor) const
  {
   cursor=m_before;
  }

// The cursor behind a record; the log must hold it.
void CTickLog::CursorBehind(const ulong seq,SCursor &cursor) const
  {
   cursor=m_cursors[Slot(seq)];
  }

// The place behind the newest record has changed.
void CTickLog::SetLastCursor(const SCursor &cursor)
  {
   if(m_count>0)
      m_cursors[Slot(m_first_seq+(ulong)m_count-1)]=cursor;
   else
      m_before=cursor;
  }

// Forget the oldest records; there are at least so many.
void CTickLog::Drop(const int length)
  {
   if(length<=0 || length>m_count)
      return;
   m_before=m_cursors[Slot(m_first_seq+(ulong)length-1)];
   m_first_seq+=(ulong)length;
   m_count-=length;
  }

// Copy records from a number on; the log must hold them, and bytes have room behind at.
bool CTickLog::CopyRecords(const ulong seq,const int length,uchar &bytes[],const int at) const
  {
   const int begin=Slot(seq);
   int first=m_capacity-begin;
   if(first>length)
      first=length;
   if(ArrayCopy(bytes,m_records,at,begin*RECORD_SIZE,first*RECORD_SIZE)!=first*RECORD_SIZE)
      return(false);
   const int rest=length-first;
   if(rest==0)
      return(true);
   return(ArrayCopy(bytes,m_records,at+first*RECORD_SIZE,0,rest*RECORD_SIZE)==rest*RECORD_SIZE);
  }

#endif // BRIDGE_MARKET_TICKLOG_MQH
