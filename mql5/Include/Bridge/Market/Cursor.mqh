//+------------------------------------------------------------------+
//|                                                       Cursor.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// A place in a symbol's tick history (SCursor), and searching ticks by time.
//
// The cursor's CRC-32 runs over 40 bytes of each tick of the millisecond: time_msc, bid, ask,
// last, volume_real, little endian as the machine has them ("The cursor" in
// docs/reference/wire-protocol.md). Flags are not in it, so they do not make two ticks differ.
// What must change together: this file and bridge/model/record.py.

#ifndef BRIDGE_MARKET_CURSOR_MQH
#define BRIDGE_MARKET_CURSOR_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Support/Crc32.mqh>
#include <Bridge/Wire/Spec.mqh>
#include <Bridge/Wire/Messages.mqh>

//--- the relay refuses prices beyond 1e304, infinities and NaN, and ends the session for them
#define TICK_PRICE_SUM_MAX 1e300
#define TICK_END_OF_TIME   LONG_MAX

//--- its table, for all cursors; no static member, because those want an initialiser
CCrc32 g_crc32;

//+------------------------------------------------------------------+
//| CRC-32 of IEEE 802.3 over ticks, and cursors made of it          |
//+------------------------------------------------------------------+
class CCursor
  {
public:
   static uint       Crc(const MqlTick &tick,const uint crc);
   static void       Set(SCursor &cursor,const long time_msc,const uint ticks,const uint crc);
   static bool       Same(const SCursor &one,const SCursor &other);
   static void       Extend(SCursor &cursor,const MqlTick &tick);
   static void       Over(SCursor &cursor,const long time_msc,const MqlTick &ticks[],const int begin,const int end);
  };

// The CRC behind one more tick; crc is that behind the ticks before it, 0 for none.
uint CCursor::Crc(const MqlTick &tick,const uint crc)
  {
   uint value=g_crc32.Word(crc,(ulong)tick.time_msc);
   value=g_crc32.Word(value,DoubleToBits(tick.bid));
   value=g_crc32.Word(value,DoubleToBits(tick.ask));
   value=g_crc32.Word(value,DoubleToBits(tick.last));
   return(g_crc32.Word(value,DoubleToBits(tick.volume_real)));
  }

void CCursor::Set(SCursor &cursor,const long time_msc,const uint ticks,const uint crc)
  {
   cursor.time_msc=time_msc;
   cursor.ticks=ticks;
   cursor.crc=crc;
  }

bool CCursor::Same(const SCursor &one,const SCursor &other)
  {
   return(one.time_msc==other.time_msc && one.ticks==other.ticks && one.crc==other.crc);
  }

// Move the cursor behind a tick that follows it in the history.
void CCursor::Extend(SCursor &cursor,const MqlTick &tick)
  {
   if(tick.time_msc==cursor.time_msc)
     {
      cursor.ticks++;
      cursor.crc=Crc(tick,cursor.crc);
      return;
     }
   cursor.time_msc=tick.time_msc;
   cursor.ticks=1;
   cursor.crc=Crc(tick,0);
  }

// The cursor behind ticks[begin..end), which are the first ones of their millisecond.
void CCursor::Over(SCursor &cursor,const long time_msc,const MqlTick &ticks[],const int begin,const int end)
  {
   Set(cursor,time_msc,0,0);
   for(int i=begin; i<end; i++)
      Extend(cursor,ticks[i]);
  }

//+------------------------------------------------------------------+
//| Ticks in order of time                                           |
//+------------------------------------------------------------------+

// The first index in [begin,end) whose tick is at this time or later.
int FindTickFrom(const MqlTick &ticks[],const int begin,const int end,const long time_msc)
  {
   int low=begin;
   int high=end;
   while(low<high)
     {
      const int middle=low+(high-low)/2;
      if(ticks[middle].time_msc<time_msc)
         low=middle+1;
      else
         high=middle;
     }
   return(low);
  }

// The first index in [begin,end) whose tick is later than this time.
int FindTickBehind(const MqlTick &ticks[],const int begin,const int end,const long time_msc)
  {
   int low=begin;
   int high=end;
   while(low<high)
     {
      const int middle=low+(high-low)/2;
      if(ticks[middle].time_msc<=time_msc)
         low=middle+1;
      else
         high=middle;
     }
   return(low);
  }

// Equal, or the same NaN: a tick with one must not look changed each time it is read.
bool IsSameValue(const double one,const double other)
  {
   return(one==other || DoubleToBits(one)==DoubleToBits(other));
  }

// Whether two ticks are the same one: all that is in the CRC.
bool IsSameTick(const MqlTick &one,const MqlTick &other)
  {
   return(one.time_msc==other.time_msc && IsSameValue(one.bid,other.bid) && IsSameValue(one.ask,other.ask)
          && IsSameValue(one.last,other.last) && IsSameValue(one.volume_real,other.volume_real));
  }

// Whether a relay would take the tick: finite prices and volume.
bool IsUsableTick(const MqlTick &tick)
  {
   const double sum=tick.bid+tick.ask+tick.last+tick.volume_real;
   return(sum>-TICK_PRICE_SUM_MAX && sum<TICK_PRICE_SUM_MAX);
  }

// Make room for so many cells, growing by half so that appending stays cheap.
bool ReserveTicks(MqlTick &ticks[],const int cells)
  {
   const int size=ArraySize(ticks);
   if(cells<=size)
      return(true);
   int wanted=size+size/2;
   if(wanted<cells)
      wanted=cells;
   if(wanted<64)
      wanted=64;
   return(ArrayResize(ticks,wanted)==wanted);
  }

#endif // BRIDGE_MARKET_CURSOR_MQH
