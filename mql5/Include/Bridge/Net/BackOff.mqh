//+------------------------------------------------------------------+
//|                                                      BackOff.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// When to dial the relay again. May touch: Spec.mqh. What must change together: this file and
// bridge/sim/backoff.py.

#ifndef BRIDGE_NET_BACKOFF_MQH
#define BRIDGE_NET_BACKOFF_MQH

#include <Bridge/Wire/Spec.mqh>

#define BACKOFF_FIRST_MS           100
#define BACKOFF_MAX_MS             1000
//--- the same after a session that was open: who was let in is wanted back before a second is over
#define BACKOFF_OPEN_MAX_MS        400
//--- a session that stayed up so long begins the back-off anew
#define BACKOFF_STABLE_US          1000000
//--- after a logout that a person must act on
#define BACKOFF_REFUSED_MS         10000
//--- before the logon anybody may have said "retry after": nobody has proved anything yet
#define BACKOFF_RETRY_AFTER_MAX_MS 60000

//+------------------------------------------------------------------+
//| Delays that double from 100 ms to 1 s, to 400 ms after a session |
//| that was open, each up to a fifth shorter or longer, so that     |
//| terminals that lost the same relay do not come back at once.     |
//+------------------------------------------------------------------+
class CBackOff
  {
private:
   int               m_attempt;
   ulong             m_random;

public:
                     CBackOff(void);
   void              Seed(const ulong seed);
   // How long to wait after a connection ended. The first: the relay was not reached, or nothing
   // is known of the end; active_us: how long the session was open, 0 for not at all.
   long              DelayUs(const long active_us);
   long              DelayUs(const long active_us,const int code,const bool by_peer,const uint retry_after_ms);

private:
   double            Uniform(const double low,const double high);
   double            Next(const long active_us);
  };

CBackOff::CBackOff(void) : m_attempt(0),m_random(88172645463325252)
  {
  }

// The seed only spreads terminals over time: microseconds and login are good enough.
void CBackOff::Seed(const ulong seed)
  {
   m_random=seed^88172645463325252;
   if(m_random==0)
      m_random=88172645463325252;
  }

// Xorshift: MathRand would be shared with every other part of the program.
double CBackOff::Uniform(const double low,const double high)
  {
   m_random^=m_random<<13;
   m_random^=m_random>>7;
   m_random^=m_random<<17;
   double part=(double)(m_random>>11)/9007199254740992.0;
   return(low+(high-low)*part);
  }

double CBackOff::Next(const long active_us)
  {
   if(active_us>=BACKOFF_STABLE_US)
      m_attempt=0;
   const double longest_ms=(active_us>0 ? BACKOFF_OPEN_MAX_MS : BACKOFF_MAX_MS);
   double delay_ms=BACKOFF_FIRST_MS;
   for(int i=0; i<m_attempt && delay_ms<longest_ms; i++)
      delay_ms*=2.0;
   if(delay_ms>longest_ms)
      delay_ms=longest_ms;
   if(m_attempt<1000)
      m_attempt++;
   return(delay_ms*Uniform(0.8,1.2));
  }

long CBackOff::DelayUs(const long active_us)
  {
   return((long)(Next(active_us)*1000.0));
  }

long CBackOff::DelayUs(const long active_us,const int code,const bool by_peer,const uint retry_after_ms)
  {
   double delay_ms=Next(active_us);
   if(by_peer)
     {
      double asked_ms=(double)retry_after_ms;
      if(asked_ms>BACKOFF_RETRY_AFTER_MAX_MS)
         asked_ms=BACKOFF_RETRY_AFTER_MAX_MS;
      if(delay_ms<asked_ms)
         delay_ms=asked_ms;
     }
   if(code>=LOGOUT_UNKNOWN_KEY)
     {
      double refused_ms=BACKOFF_REFUSED_MS*Uniform(1.0,1.2);
      if(delay_ms<refused_ms)
         delay_ms=refused_ms;
     }
   return((long)(delay_ms*1000.0));
  }

#endif // BRIDGE_NET_BACKOFF_MQH
