//+------------------------------------------------------------------+
//|                                                        Clock.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The clocks of a terminal. May touch: GetMicrosecondCount, TimeGMT, TimeTradeServer, TimeCurrent.
// Rule: intervals and deadlines are NowUs(), never a wall clock.

#ifndef BRIDGE_SUPPORT_CLOCK_MQH
#define BRIDGE_SUPPORT_CLOCK_MQH

//--- 22 days, a multiple of quarters of an hour
#define CLOCK_OFFSET_MAX_MIN 32760

//+------------------------------------------------------------------+
//| Times as the protocol has them.                                  |
//+------------------------------------------------------------------+
class CClock
  {
public:
                     CClock(void);
   long              NowUs(void) const;         // microseconds since the program began, monotonic
   long              UtcMsc(void);              // ms since 1970, UTC; milliseconds are interpolated
   long              ServerTimeMsc(void);       // ms since 1970, the trade server's clock; 0: not known
   int               UtcOffsetMin(void) const;  // server minus UTC, rounded to 15 minutes

private:
   long              m_second;      // TimeGMT when it was last seen to change
   long              m_second_us;   // and NowUs then
   long              m_server_second;
   long              m_server_second_us;

   static long       Interpolated(const long second,long &seen,long &seen_us,const long now_us);
  };

CClock::CClock(void) : m_second(0),m_second_us(0),m_server_second(0),m_server_second_us(0)
  {
  }

long CClock::NowUs(void) const
  {
   return((long)GetMicrosecondCount());
  }

// A clock of seconds in milliseconds: what has passed since the second was first seen, at most
// the rest of it. It never goes ahead of the clock, and is late by what passed between two looks.
long CClock::Interpolated(const long second,long &seen,long &seen_us,const long now_us)
  {
   if(second!=seen)
     {
      seen=second;
      seen_us=now_us;
     }
   long since_ms=(now_us-seen_us)/1000;
   if(since_ms>999)
      since_ms=999;
   return(second*1000+since_ms);
  }

long CClock::UtcMsc(void)
  {
   return(Interpolated((long)TimeGMT(),m_second,m_second_us,NowUs()));
  }

long CClock::ServerTimeMsc(void)
  {
   long second=(long)TimeTradeServer();
   if(second<=0)
      return(0);
   return(Interpolated(second,m_server_second,m_server_second_us,NowUs()));
  }

// Both clocks are read from the same clock of the computer, so what is left beside whole quarters
// of an hour is how far that one is wrong.
int CClock::UtcOffsetMin(void) const
  {
   long server=(long)TimeTradeServer();
   if(server<=0)
      return(0);
   long difference=server-(long)TimeGMT();
   long half=(difference<0 ? -450 : 450);
   const long minutes=(difference+half)/900*15;
   //--- the protocol has 16 bits for it; a clock that is wrong by weeks must not keep anybody from it
   return((int)MathMax(-CLOCK_OFFSET_MAX_MIN,MathMin(CLOCK_OFFSET_MAX_MIN,minutes)));
  }

#endif // BRIDGE_SUPPORT_CLOCK_MQH
