//+------------------------------------------------------------------+
//|                                                     RelayOut.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The trading side's way out: the session with the relay, while it is open.

#ifndef BRIDGE_APP_RELAYOUT_MQH
#define BRIDGE_APP_RELAYOUT_MQH

#include <Bridge/Support/Log.mqh>
#include <Bridge/Wire/Session.mqh>
#include <Bridge/Trade/DeskParts.mqh>

//+------------------------------------------------------------------+
//| Sends what the trading side says                                 |
//+------------------------------------------------------------------+
class CRelayOut : public CTradeOut
  {
private:
   CSession         *m_session;
   CLog             *m_log;

   void              Told(const bool sent,const string what);

public:
                     CRelayOut(CSession *session,CLog *lines) : m_session(session),m_log(lines) { }
   virtual void      Result(const SResult &result) override;
   virtual void      Event(const SEvent &event) override;
   virtual void      Ready(void) override;
  };

// Without a session nobody waits for it: the relay asks when it is back.
void CRelayOut::Result(const SResult &result)
  {
   if(m_session.Active())
      Told(m_session.Send(result),"RESULT");
  }

void CRelayOut::Event(const SEvent &event)
  {
   if(m_session.Active())
      Told(m_session.Send(event),"EVENT");
  }

void CRelayOut::Ready(void)
  {
   SBusy ready={};
   ready.kind=(uint)BUSY_READY;
   ready.limit_ms=0;
   if(m_session.Active())
      Told(m_session.Send(ready),"BUSY");
  }

void CRelayOut::Told(const bool sent,const string what)
  {
   if(!sent)
      m_log.Debug("a "+what+" could not be sent: "+m_session.Problem());
  }

#endif // BRIDGE_APP_RELAYOUT_MQH
