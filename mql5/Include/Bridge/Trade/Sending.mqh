//+------------------------------------------------------------------+
//|                                                      Sending.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// One request on its way to the trade server, and its answer: by OrderSendAsync, or by OrderSend.
//
// OrderSendAsync returns at once with a request_id; the answer is a TRADE_TRANSACTION_REQUEST of that
// id, in no order with the deals it tells of, or never: then the deadline here ends the wait, and
// only orders, deals and positions tell what became of it. OrderSend blocks the program, and with it
// ticks and heartbeats, until it has an answer.
// Rule 1: one at a time. An answer counts for the request that is open, and for no other.
// Rule 2: every program of the terminal hears of every request. What contradicts ours is not ours.
// Rule 3: an answer may be old: it says what happened to this id, whenever it comes.
// May touch: OrderSend and OrderSendAsync through CBroker.

#ifndef BRIDGE_TRADE_SENDING_MQH
#define BRIDGE_TRADE_SENDING_MQH

#include <Bridge/Trade/BrokerAccess.mqh>
#include <Bridge/Trade/Retcodes.mqh>

enum ENUM_SENDING_STATE
  {
   SENDING_NONE=0,       // nothing was sent
   SENDING_OPEN=1,       // no answer yet
   SENDING_ANSWERED=2,   // what the trade server said, or the terminal for it
   SENDING_UNANSWERED=3  // no answer will be waited for
  };

//+------------------------------------------------------------------+
//| The request that is under way                                    |
//+------------------------------------------------------------------+
class CSending
  {
private:
   CBroker          *m_broker;
   bool              m_async;
   ENUM_SENDING_STATE m_state;
   MqlTradeRequest   m_request;
   MqlTradeResult    m_result;
   int               m_error;           // _LastError of the call
   long              m_deadline_us;

public:
                     CSending(CBroker *broker);
   // How requests are sent from now on; what is under way is forgotten. The tester knows no waiting.
   void              Configure(const bool async);
   bool              Async(void) const { return(m_async); }
   // Send; afterwards State() is another one than SENDING_NONE.
   void              Begin(const MqlTradeRequest &request,const long now_us);
   ENUM_SENDING_STATE State(void) const { return(m_state); }
   // Whether there is nothing more to wait for.
   bool              IsOver(const long now_us,const bool connected);
   // Every call of OnTradeTransaction.
   void              Heard(const MqlTradeTransaction &transaction,const MqlTradeRequest &request,
                           const MqlTradeResult &result);
   // The answer, and the error of the call; true: there is one. Nothing is under way afterwards.
   bool              Take(MqlTradeResult &result,int &error);

private:
   bool              IsOurs(const MqlTradeRequest &request,const MqlTradeResult &result) const;
  };

CSending::CSending(CBroker *broker) : m_broker(broker),
                                      m_async(false),
                                      m_state(SENDING_NONE),
                                      m_error(0),
                                      m_deadline_us(0)
  {
   ZeroMemory(m_request);
   ZeroMemory(m_result);
  }

void CSending::Configure(const bool async)
  {
   m_async=(async && MQLInfoInteger(MQL_TESTER)==0);
   m_state=SENDING_NONE;
  }

void CSending::Begin(const MqlTradeRequest &request,const long now_us)
  {
   m_request=request;
   m_deadline_us=now_us+DESK_ORDER_SEND_LIMIT_MS*1000;
   MqlTradeRequest sent=request;
   bool taken=false;
   if(m_async)
      taken=m_broker.SendAsync(sent,m_result);
   else
      taken=m_broker.Send(sent,m_result);
   m_error=m_broker.LastError();
   m_state=SENDING_ANSWERED;
   if(!m_async)
      return;
   // A code that says that it was not sent, or how it ended, is final. With any other one the answer
   // is still to come, and without an id it could not be told from another program's.
   const ENUM_RETCODE_CLASS verdict=RetcodeClass(m_result.retcode);
   if(verdict==RETCODE_CLASS_PLACED || (taken && verdict==RETCODE_CLASS_AMBIGUOUS))
      m_state=(m_result.request_id!=0 ? SENDING_OPEN : SENDING_UNANSWERED);
  }

bool CSending::IsOver(const long now_us,const bool connected)
  {
   // Without the trade server there are no answers any more, not even later.
   if(m_state==SENDING_OPEN && (now_us>=m_deadline_us || !connected))
      m_state=SENDING_UNANSWERED;
   return(m_state==SENDING_ANSWERED || m_state==SENDING_UNANSWERED);
  }

void CSending::Heard(const MqlTradeTransaction &transaction,const MqlTradeRequest &request,
                     const MqlTradeResult &result)
  {
   if(m_state!=SENDING_OPEN || transaction.type!=TRADE_TRANSACTION_REQUEST || !IsOurs(request,result))
      return;
   m_result=result;
   m_error=0;
   m_state=SENDING_ANSWERED;
  }

// Whether a reply is that of our request. Fields that the server fills in are compared only where
// both have a value.
bool CSending::IsOurs(const MqlTradeRequest &request,const MqlTradeResult &result) const
  {
   if(result.request_id!=m_result.request_id || request.action!=m_request.action)
      return(false);
   if(request.symbol!="" && m_request.symbol!="" && request.symbol!=m_request.symbol)
      return(false);
   if(request.comment!="" && m_request.comment!="" && request.comment!=m_request.comment)
      return(false);
   if(request.magic!=0 && m_request.magic!=0 && request.magic!=m_request.magic)
      return(false);
   if(request.order!=0 && m_request.order!=0 && request.order!=m_request.order)
      return(false);
   return(request.position==0 || m_request.position==0 || request.position==m_request.position);
  }

bool CSending::Take(MqlTradeResult &result,int &error)
  {
   const bool answered=(m_state==SENDING_ANSWERED);
   m_state=SENDING_NONE;
   result=m_result;
   error=m_error;
   return(answered);
  }

#endif // BRIDGE_TRADE_SENDING_MQH
