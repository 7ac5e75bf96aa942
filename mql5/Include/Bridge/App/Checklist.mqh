//+------------------------------------------------------------------+
//|                                                    Checklist.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What no documentation tells and only a real terminal shows: measured, and printed as a list that a
// person can send. Nothing here passes or fails.
//
// A line is "SEEN item: value", or "NOT SEEN item: what to do for it". The words of the items stay the
// same from version to version, so that lists of several terminals can be compared.
// May touch: everything that is measured; one pending order, and only where Order() is called.

#ifndef BRIDGE_APP_CHECKLIST_MQH
#define BRIDGE_APP_CHECKLIST_MQH

#include <Bridge/Net/TrialConnection.mqh>
#include <Bridge/Trade/BrokerAccess.mqh>
#include <Bridge/Trade/Ledger.mqh>
#include <Bridge/Trade/OrderTag.mqh>
#include <Bridge/Trade/SymbolRules.mqh>

#define CHECKLIST_SLEEPS        20
#define CHECKLIST_TIMERS        20
#define CHECKLIST_COMMITS       20
#define CHECKLIST_LOOKS         200
#define CHECKLIST_TICKS         1000
#define CHECKLIST_CONNECT_MS    1000
//--- RFC 5737: an address of documentation, where nobody is and which nobody has listed
#define CHECKLIST_STRANGER      "192.0.2.1"
//--- how long an order may take to be seen, and to be gone
#define CHECKLIST_ORDER_US      3000000
#define CHECKLIST_FAR           0.5

//+------------------------------------------------------------------+
//| How long something takes, several times                          |
//+------------------------------------------------------------------+
class CTimes
  {
private:
   ulong             m_begin_us;
   ulong             m_sum_us;
   ulong             m_most_us;
   int               m_count;

public:
                     CTimes(void) : m_begin_us(0),m_sum_us(0),m_most_us(0),m_count(0) { }
   void              Begin(void) { m_begin_us=GetMicrosecondCount(); }
   void              End(void);
   int               Count(void) const { return(m_count); }
   string            Text(void) const;
  };

void CTimes::End(void)
  {
   const ulong took_us=GetMicrosecondCount()-m_begin_us;
   m_sum_us+=took_us;
   if(took_us>m_most_us)
      m_most_us=took_us;
   m_count++;
  }

string CTimes::Text(void) const
  {
   if(m_count==0)
      return("never");
   return(StringFormat("%I64u us on average, %I64u us at most, %d times",m_sum_us/(ulong)m_count,m_most_us,m_count));
  }

//+------------------------------------------------------------------+
//| The list                                                         |
//+------------------------------------------------------------------+
class CChecklist
  {
private:
   CTimes            m_timer;
   bool              m_timer_runs;

public:
                     CChecklist(void) : m_timer_runs(false) { }
   void              Terminal(void);
   void              Sleeps(void);
   void              Ledger(CLedger &ledger);
   void              Ticks(const string symbol);
   void              Address(const string host,const int port);
   void              Order(const string symbol);
   //--- the timer: BeginTimer(), then OnTimer() in every timer event until it is true
   bool              BeginTimer(void);
   bool              OnTimer(void);

private:
   static void       Seen(const string item,const string value) { Print("SEEN ",item,": ",value); }
   static void       NotSeen(const string item,const string advice) { Print("NOT SEEN ",item,": ",advice); }
   void              Dial(const string item,const string host,const int port);
   bool              Place(CBroker &broker,const string symbol,const string comment,ulong &ticket);
   void              Remove(CBroker &broker,const ulong ticket);
   static string     Kept(const string sent,const string kept);
  };

void CChecklist::Terminal(void)
  {
   Seen("build",IntegerToString(TerminalInfoInteger(TERMINAL_BUILD)));
   Seen("broker",AccountInfoString(ACCOUNT_COMPANY));
   Seen("account",(AccountInfoInteger(ACCOUNT_TRADE_MODE)==(long)ACCOUNT_TRADE_MODE_DEMO ? "demo" : "not demo")+
        (AccountInfoInteger(ACCOUNT_MARGIN_MODE)==(long)ACCOUNT_MARGIN_MODE_RETAIL_HEDGING ? ", hedging" : ", netting"));
  }

void CChecklist::Sleeps(void)
  {
   CTimes times;
   for(int i=0; i<CHECKLIST_SLEEPS; i++)
     {
      times.Begin();
      Sleep(1);
      times.End();
     }
   Seen("Sleep(1)",times.Text());
  }

// A commit that returns in less than a disk can write has probably not been written to it.
void CChecklist::Ledger(CLedger &ledger)
  {
   if(!ledger.Durable())
     {
      NotSeen("time of a commit","the ledger is not durable: "+ledger.DurabilityProblem());
      return;
     }
   CTimes times;
   for(int i=0; i<CHECKLIST_COMMITS; i++)
     {
      times.Begin();
      if(!ledger.NextConnection())
        {
         NotSeen("time of a commit",ledger.Problem());
         return;
        }
      times.End();
     }
   Seen("time of a commit",times.Text());
  }

void CChecklist::Ticks(const string symbol)
  {
   MqlTick tick={};
   CTimes looks;
   for(int i=0; i<CHECKLIST_LOOKS; i++)
     {
      looks.Begin();
      if(!SymbolInfoTick(symbol,tick))
         break;
      looks.End();
     }
   Seen("SymbolInfoTick",looks.Text());
   MqlTick ticks[];
   CTimes copies;
   copies.Begin();
   ResetLastError();
   const int count=CopyTicks(symbol,ticks,COPY_TICKS_ALL,0,CHECKLIST_TICKS);
   const int error=GetLastError();
   copies.End();
   Seen("CopyTicks",StringFormat("%d ticks of %d, error %d, ",count,CHECKLIST_TICKS,error)+copies.Text());
  }

// A connection as the bridge makes it, and one to an address that nobody can have listed.
void CChecklist::Address(const string host,const int port)
  {
   Dial("connection to "+host,host,port);
   Dial("connection to an address that is not listed",CHECKLIST_STRANGER,port);
  }

void CChecklist::Dial(const string item,const string host,const int port)
  {
   CTimes times;
   times.Begin();
   const string told=CTrialConnection::Try(host,port,CHECKLIST_CONNECT_MS);
   times.End();
   Seen(item,told+"; "+times.Text());
  }

//+------------------------------------------------------------------+
//| One pending order, far from the market, placed and removed       |
//+------------------------------------------------------------------+
string CChecklist::Kept(const string sent,const string kept)
  {
   return(kept==sent ? "kept" : "'"+sent+"' became '"+kept+"'");
  }

void CChecklist::Order(const string symbol)
  {
   CBroker broker;
   const string comment=OrderTag("selftest/order");
   ulong ticket=0;
   if(!broker.IsDemo())
     {
      NotSeen("an order's comment","this is no demo account; nothing is sent from it");
      return;
     }
   if(!Place(broker,symbol,comment,ticket))
      return;
   CTimes visible;
   SOrderRecord order={};
   visible.Begin();
   const ulong until_us=GetMicrosecondCount()+CHECKLIST_ORDER_US;
   bool seen=broker.Order(ticket,order);
   while(!seen && GetMicrosecondCount()<until_us)
     {
      Sleep(1);
      seen=broker.Order(ticket,order);
     }
   visible.End();
   if(seen)
     {
      Seen("an order becomes visible behind OrderSend",visible.Text());
      Seen("an order's comment",Kept(comment,order.comment));
     }
   else
      NotSeen("an order's comment","the order was not in the terminal's list within 3 s");
   Remove(broker,ticket);
   SOrderRecord old={};
   const ulong end_us=GetMicrosecondCount()+CHECKLIST_ORDER_US;
   bool found=broker.HistoryOrder(ticket,old);
   while(!found && GetMicrosecondCount()<end_us)
     {
      Sleep(1);
      found=broker.HistoryOrder(ticket,old);
     }
   if(found)
      Seen("an order's comment in the history",Kept(comment,old.comment));
   else
      NotSeen("an order's comment in the history","the order was not in the history within 3 s");
  }

bool CChecklist::Place(CBroker &broker,const string symbol,const string comment,ulong &ticket)
  {
   CSymbolRules rules;
   MqlTradeRequest request={};
   MqlTradeResult result={};
   string problem="";
   if(!rules.Read(symbol,problem))
     {
      NotSeen("an order's comment",problem);
      return(false);
     }
   request.action=TRADE_ACTION_PENDING;
   request.symbol=symbol;
   request.type=ORDER_TYPE_BUY_LIMIT;
   request.type_filling=ORDER_FILLING_RETURN;
   request.type_time=rules.Lifetime();
   request.volume=rules.VolumeMin();
   request.price=rules.RoundedPrice(rules.Price(false)*CHECKLIST_FAR);
   request.comment=comment;
   CTimes times;
   times.Begin();
   const bool sent=broker.Send(request,result);
   times.End();
   Seen("OrderSend",StringFormat("%s, retcode %u, ",(sent ? "true" : "false"),result.retcode)+times.Text());
   ticket=result.order;
   if(result.retcode!=TRADE_RETCODE_DONE && result.retcode!=TRADE_RETCODE_PLACED)
     {
      NotSeen("an order's comment","the trade server took no order: "+result.comment);
      return(false);
     }
   return(true);
  }

void CChecklist::Remove(CBroker &broker,const ulong ticket)
  {
   MqlTradeRequest request={};
   MqlTradeResult result={};
   request.action=TRADE_ACTION_REMOVE;
   request.order=ticket;
   CTimes times;
   times.Begin();
   const bool sent=broker.Send(request,result);
   times.End();
   Seen("OrderSend that removes",StringFormat("%s, retcode %u, ",(sent ? "true" : "false"),result.retcode)+times.Text());
   if(result.retcode!=TRADE_RETCODE_DONE)
      Print("REMOVE BY HAND order ",ticket,": the self-test could not");
  }

//+------------------------------------------------------------------+
//| The timer                                                        |
//+------------------------------------------------------------------+
bool CChecklist::BeginTimer(void)
  {
   ResetLastError();
   m_timer_runs=EventSetMillisecondTimer(1);
   if(!m_timer_runs)
      Seen("a timer of 1 ms",StringFormat("cannot be set, error %d",GetLastError()));
   m_timer.Begin();
   return(m_timer_runs);
  }

// Whether the list is complete.
bool CChecklist::OnTimer(void)
  {
   if(!m_timer_runs)
      return(true);
   m_timer.End();
   m_timer.Begin();
   if(m_timer.Count()<CHECKLIST_TIMERS)
      return(false);
   EventKillTimer();
   Seen("a timer of 1 ms",m_timer.Text());
   return(true);
  }

#endif // BRIDGE_APP_CHECKLIST_MQH
