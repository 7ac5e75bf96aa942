//+------------------------------------------------------------------+
//|                                                   TickReader.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Reading a terminal's tick history by cursor, and believing only what may be believed.
//
// CopyTicks may return ticks and be incomplete all the same: then it leaves an error. Such an
// answer is not taken. It may also block, for up to 45 s, while a symbol is synchronised: the
// caller asks CSymbols::MayBlock and sends BUSY first.
// Results come in arrays of the caller with their number beside them: the array may be larger.
// What must change together: this file and bridge/sim/tickreader.py.

#ifndef BRIDGE_MARKET_TICKREADER_MQH
#define BRIDGE_MARKET_TICKREADER_MQH

#include <Bridge/Market/Cursor.mqh>
#include <Bridge/Market/Symbols.mqh>

//--- ticks asked for at once when history is read again; MetaTrader holds 4096 in its fast cache
#define READER_SLICE            4096
//--- ticks of one range; more than a stream's memory holds, so that a comparison gets further each time
#define READER_RANGE_MAX        262144
//--- a cursor counts no more ticks of one millisecond than this; one that does is refused
#define READER_CURSOR_TICKS_MAX 65536
//--- how far back a tick is looked for to tell "revised" from "history begins later"
#define READER_REACH_MSC        604800000

//+------------------------------------------------------------------+
//| The history of all symbols                                       |
//+------------------------------------------------------------------+
class CTickReader
  {
private:
   CSymbols         *m_symbols;
   MqlTick           m_slice[];
   MqlTick           m_probe[];
   long              m_refused;

public:
                     CTickReader(CSymbols *symbols);
   CSymbols         *Symbols(void) const { return(m_symbols); }
   long              Refused(void) const { return(m_refused); }
   bool              Read(const int slot,const long from_msc,const int count,MqlTick &ticks[],int &total);
   bool              ReadRange(const int slot,const long from_msc,const long through_msc,
                               MqlTick &found[],int &total,long &end_msc);
   bool              Find(const int slot,const SCursor &cursor,uint &reason,MqlTick &taken[],int &total);
   bool              Walk(const int slot,const SCursor &from,const long usable,bool &enough,SCursor &behind);
   string            LoadingText(const int slot) const;
  };

CTickReader::CTickReader(CSymbols *symbols) : m_symbols(symbols),
                                             m_refused(0)
  {
  }

string CTickReader::LoadingText(const int slot) const
  {
   return("the terminal is still loading the ticks of '"+m_symbols.Name(slot)+"'; ask again");
  }

// What CopyTicks gives: count ticks from a time on, or the last ones with from_msc 0. False when
// the answer must not be taken.
bool CTickReader::Read(const int slot,const long from_msc,const int count,MqlTick &ticks[],int &total)
  {
   total=0;
   const string name=m_symbols.Name(slot);
   ResetLastError();
   const int copied=CopyTicks(name,ticks,COPY_TICKS_ALL,(ulong)from_msc,(uint)count);
   const int error=GetLastError();
   if(copied<0 || error!=0 || copied>ArraySize(ticks))
     {
      m_refused++;
      m_symbols.NotSynchronised(slot);
      if(error==ERR_MARKET_NOT_SELECTED)
         m_symbols.Select(slot);
      return(false);
     }
   total=copied;
   long reached_msc=from_msc;
   if(from_msc==0 && copied>0)
      reached_msc=ticks[0].time_msc;
   m_symbols.Synchronised(slot,reached_msc);
   return(true);
  }

// All ticks of a time range, both ends included, and its end: an earlier one when the range holds
// too many. False when an answer must not be taken.
bool CTickReader::ReadRange(const int slot,const long from_msc,const long through_msc,
                            MqlTick &found[],int &total,long &end_msc)
  {
   total=0;
   end_msc=through_msc;
   long at_msc=from_msc;
   if(at_msc<1)
      at_msc=1;
   int seen=0;
   while(true)
     {
      const int wanted=seen+READER_SLICE;
      int got=0;
      if(!Read(slot,at_msc,wanted,m_slice,got))
         return(false);
      const int added=got-seen;
      if(added>0)
        {
         if(!ReserveTicks(found,total+added))
            return(false);
         for(int i=0; i<added; i++)
            found[total+i]=m_slice[seen+i];
         total+=added;
        }
      if(got<wanted || total==0 || found[total-1].time_msc>through_msc)
        {
         total=FindTickBehind(found,0,total,through_msc);
         return(true);
        }
      at_msc=found[total-1].time_msc;
      const int first=FindTickFrom(found,0,total,at_msc);
      if(total>=READER_RANGE_MAX && first>0)
        {
         total=first;
         end_msc=at_msc-1;
         return(true);
        }
      seen=total-first;
     }
   return(false);
  }

// The ticks that a cursor counts, with reason 0, or the GapReason why they cannot be had. False
// when the history cannot be read now.
bool CTickReader::Find(const int slot,const SCursor &cursor,uint &reason,MqlTick &taken[],int &total)
  {
   total=0;
   reason=(uint)GAP_HISTORY_MISSING;
   if(cursor.time_msc<=0 || cursor.ticks>READER_CURSOR_TICKS_MAX)
      return(true);
   if(cursor.ticks>0)
     {
      if(!Read(slot,cursor.time_msc,(int)cursor.ticks,taken,total))
         return(false);
      SCursor there={};
      CCursor::Over(there,cursor.time_msc,taken,0,total);
      if(CCursor::Same(there,cursor))
        {
         reason=0;
         return(true);
        }
      total=0;
     }
   long reach_msc=cursor.time_msc-READER_REACH_MSC;
   if(reach_msc<1)
      reach_msc=1;
   int before=0;
   if(!Read(slot,reach_msc,1,m_probe,before))
      return(false);
   if(before==0 || m_probe[0].time_msc>=cursor.time_msc)
      return(true);
   reason=(uint)GAP_HISTORY_REVISED;
   if(cursor.ticks==0 && cursor.crc==0)
      reason=0;
   return(true);
  }

// The cursor behind so many further usable ticks; enough is false if there are fewer. False when
// the history cannot be read now.
bool CTickReader::Walk(const int slot,const SCursor &from,const long usable,bool &enough,SCursor &behind)
  {
   CCursor::Set(behind,from.time_msc,from.ticks,from.crc);
   enough=true;
   long left=usable;
   while(left>0)
     {
      int portion=READER_SLICE;
      if(left<READER_SLICE)
         portion=(int)left;
      long at_msc=behind.time_msc;
      if(at_msc<1)
         at_msc=1;
      const int skipped=(int)behind.ticks;
      int got=0;
      if(!Read(slot,at_msc,skipped+portion,m_slice,got))
         return(false);
      if(got<=skipped)
        {
         enough=false;
         return(true);
        }
      for(int i=skipped; i<got; i++)
        {
         CCursor::Extend(behind,m_slice[i]);
         if(IsUsableTick(m_slice[i]))
            left--;
        }
     }
   return(true);
  }

#endif // BRIDGE_MARKET_TICKREADER_MQH
