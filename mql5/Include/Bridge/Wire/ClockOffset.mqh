//+------------------------------------------------------------------+
//|                                                  ClockOffset.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The offset between two monotonic clocks, seen through a link that only ever delays.
// May touch: nothing. What must change together: this file and bridge/wire/clock.py.

#ifndef BRIDGE_WIRE_CLOCKOFFSET_MQH
#define BRIDGE_WIRE_CLOCKOFFSET_MQH

#include <Bridge/Wire/Spec.mqh>

//+------------------------------------------------------------------+
//| The least (receive time - stamp) of the last one to two windows: |
//| a delay can only make the difference larger, and clocks drift.   |
//+------------------------------------------------------------------+
class CClockOffset
  {
private:
   long              m_window_us;
   bool              m_has_before;
   long              m_before_us;
   bool              m_has_now;
   long              m_now_us;

public:
                     CClockOffset(void);
   void              Begin(const long now_us);
   // Take a stamp of the peer that arrived now; return the offset.
   long              Observe(const long stamp_us,const long now_us);
  };

CClockOffset::CClockOffset(void) : m_window_us(0),m_has_before(false),m_before_us(0),m_has_now(false),m_now_us(0)
  {
  }

void CClockOffset::Begin(const long now_us)
  {
   m_window_us=now_us;
   m_has_before=false;
   m_before_us=0;
   m_has_now=false;
   m_now_us=0;
  }

long CClockOffset::Observe(const long stamp_us,const long now_us)
  {
   if(now_us-m_window_us>=(long)WIRE_CLOCK_WINDOW_MS*1000)
     {
      m_window_us=now_us;
      m_has_before=m_has_now;
      m_before_us=m_now_us;
      m_has_now=false;
     }
   //--- a stamp may be any number of 64 bits: two's complement wraps, as everywhere in MQL5
   long offset=(long)((ulong)now_us-(ulong)stamp_us);
   if(!m_has_now || offset<m_now_us)
     {
      m_now_us=offset;
      m_has_now=true;
     }
   return(m_has_before && m_before_us<m_now_us ? m_before_us : m_now_us);
  }

#endif // BRIDGE_WIRE_CLOCKOFFSET_MQH
