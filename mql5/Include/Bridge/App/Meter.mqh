//+------------------------------------------------------------------+
//|                                                        Meter.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// How long the program's loop takes, and how late it comes: heartbeats tell the relay.

#ifndef BRIDGE_APP_METER_MQH
#define BRIDGE_APP_METER_MQH

//+------------------------------------------------------------------+
//| Measures the turns of the loop                                   |
//+------------------------------------------------------------------+
class CLoopMeter
  {
private:
   long              m_turned_us;       // -1: never
   long              m_expected_us;     // -1: not known
   long              m_interval_us;
   long              m_lag_us;

   static uint       Clipped(const long us) { return((uint)(us<UINT_MAX ? us : UINT_MAX)); }

public:
                     CLoopMeter(void) : m_turned_us(-1),m_expected_us(-1),m_interval_us(0),m_lag_us(0) { }
   uint              IntervalUs(void) const { return(Clipped(m_interval_us)); }
   uint              LagUs(void) const { return(Clipped(m_lag_us)); }
   void              Expect(const long us) { m_expected_us=us; }
   void              Turned(const long now_us);
  };

// A turn begins. The interval is a mean of the last ones, the lag that of this one alone.
void CLoopMeter::Turned(const long now_us)
  {
   if(m_turned_us>=0 && now_us>m_turned_us)
      m_interval_us+=(now_us-m_turned_us-m_interval_us)/8;
   if(m_expected_us>=0)
     {
      m_lag_us=now_us-m_expected_us;
      if(m_lag_us<0)
         m_lag_us=0;
     }
   m_turned_us=now_us;
   m_expected_us=-1;
  }

#endif // BRIDGE_APP_METER_MQH
