//+------------------------------------------------------------------+
//|                                           ApplicationHearing.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What the relay says to the program: the other half of CApplication.
//
// What must change together: this file, Application.mqh and bridge/sim/terminal.py.

#ifndef BRIDGE_APP_APPLICATIONHEARING_MQH
#define BRIDGE_APP_APPLICATIONHEARING_MQH

#include <Bridge/App/Application.mqh>

#define APPLICATION_UNSUPPORTED "this session was logged on without it"

//+------------------------------------------------------------------+
//| What the relay says                                              |
//+------------------------------------------------------------------+

void CApplication::TakeEvents(void)
  {
   SSessionEvent event;
   while(m_link.NextEvent(event))
     {
      string problem="";
      if(event.kind==SESSION_EVENT_LOGGED_ON)
         TakeWelcome(event.body);
      else
         if(!TakeMessage(event.type,event.body,problem))
            m_log.Error(problem);
     }
  }

void CApplication::TakeWelcome(const uchar &body[])
  {
   SWelcome welcome={};
   string problem="";
   if(!welcome.Unpack(body,problem))
     {
      m_log.Error(problem);
      return;
     }
   SMoment moment={};
   Now(moment);
   m_desk.Welcomed(welcome,m_link.m_session.RelayEpoch(),m_link.m_session.Capabilities(),moment);
   m_next_state_us=m_now_us;
   m_next_show_us=0;
   m_link.LoggedOn(PrintableText(welcome.program),m_now_us);
  }

// Take a message; the session has checked that it can be unpacked.
bool CApplication::TakeMessage(const int type,const uchar &body[],string &problem)
  {
   switch(type)
     {
      case FRAME_SUBSCRIBE:
         return(TakeSubscribe(body,problem));
      case FRAME_NEW:
        {
         SMoment moment={};
         Now(moment);
         return(m_desk.New(body,moment,problem));
        }
      case FRAME_QUERY:
        {
         SMoment moment={};
         Now(moment);
         return(m_desk.Query(body,moment,problem));
        }
      case FRAME_HALT:
         return(TakeHalt(body,problem));
      case FRAME_UNSUBSCRIBE:
        {
         SUnsubscribe unsubscribe={};
         if(!unsubscribe.Unpack(body,problem))
            return(false);
         m_collector.End(unsubscribe.symbol_id);
         return(true);
        }
      case FRAME_REQUEST:
         return(TakeRequest(body,problem));
      case FRAME_REFILL:
         return(TakeRefill(body,problem));
      case FRAME_CANCEL_REQUEST:
        {
         SCancelRequest cancel={};
         if(!cancel.Unpack(body,problem))
            return(false);
         m_answers.Cancel(cancel.request_id);
         return(true);
        }
      case FRAME_EVENT_ACK:
        {
         SEventAck ack={};
         if(!ack.Unpack(body,problem))
            return(false);
         m_desk.EventAck(ack);
         return(true);
        }
     }
   return(true);
  }

bool CApplication::TakeSubscribe(const uchar &body[],string &problem)
  {
   SPendingSubscribe pending;
   if(!pending.subscribe.Unpack(body,problem))
      return(false);
   pending.until_us=m_now_us+APPLICATION_SYNCHRONISE_US;
   pending.not_before_us=0;
   SStream stream={};
   if(!Has(CAPABILITY_TICKS))
      RefuseSubscribe(pending.subscribe,(uint)ERROR_CODE_UNSUPPORTED,APPLICATION_UNSUPPORTED,stream);
   else
     {
      if(m_pending.Push(pending))
         return(true);
      RefuseSubscribe(pending.subscribe,(uint)ERROR_CODE_TOO_MANY,
                      IntegerToString(m_pending.Count())+" subscriptions wait already",stream);
     }
   if(m_link.m_session.Active() && !m_link.m_session.Send(stream))
      m_log.Debug("a STREAM could not be sent: "+m_link.m_session.Problem());
   return(true);
  }

bool CApplication::TakeRequest(const uchar &body[],string &problem)
  {
   SRequest request;
   if(!request.Unpack(body,problem))
      return(false);
   if(Has(CAPABILITY_READS))
      m_answers.Request(request,m_link.Here(request.deadline_us),m_utc_offset_min);
   else
      m_answers.Decline(request.request_id,(uint)ERROR_CODE_UNSUPPORTED,APPLICATION_UNSUPPORTED);
   return(true);
  }

bool CApplication::TakeRefill(const uchar &body[],string &problem)
  {
   SRefill refill={};
   if(!refill.Unpack(body,problem))
      return(false);
   if(Has(CAPABILITY_REFILL))
      m_answers.Refill(refill,m_link.Here(refill.deadline_us));
   else
      m_answers.Decline(refill.request_id,(uint)ERROR_CODE_UNSUPPORTED,APPLICATION_UNSUPPORTED);
   return(true);
  }

// The word of a relay that is older than one we have seen does not count.
bool CApplication::TakeHalt(const uchar &body[],string &problem)
  {
   SHalt halt={};
   if(!halt.Unpack(body,problem))
      return(false);
   SMoment moment={};
   Now(moment);
   const uint before=m_desk.State();
   if(!m_desk.Halt(halt,moment))
      return(true);
   if(m_desk.State()!=before)
      m_log.Info("the relay sets the trading state to "+TradingStateText(m_desk.State())+": "+PrintableText(halt.reason));
   m_next_state_us=m_now_us;
   return(true);
  }

#endif // BRIDGE_APP_APPLICATIONHEARING_MQH
