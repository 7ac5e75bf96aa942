//+------------------------------------------------------------------+
//|                                                 BrokerAccess.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The broker's functions, and what they say as records: nobody else calls OrderSend, OrderSendAsync,
// OrderCheck, Position..., Order... and History... .
//
// MQL5 copies what is selected, and its properties are read from the copy. Every method here selects
// anew, so a record is what the terminal knows at this moment, and no caller's selection matters.
// Lists come in the order of the model, bridge/sim/exchange.py: by ticket, those of the history by
// time and ticket. Times in milliseconds are the trade server's, both ends of a range included.
// A list that cannot be read is false, and then it is empty: that is not "nothing is there".
// May touch: orders, positions, history, properties of the account.
// What must change together: this file, bridge/sim/trading_ports.py.

#ifndef BRIDGE_TRADE_BROKERACCESS_MQH
#define BRIDGE_TRADE_BROKERACCESS_MQH

#include <Bridge/Trade/Structures.mqh>

//--- passes over a list that changes while it is read
#define BROKER_PASSES_MAX   64
//--- room that a list grows by
#define BROKER_RESERVE      64
#define BROKER_SECONDS_MAX  4611686018427387   // TRACES_END_OF_TIME in seconds, rounded down

//+------------------------------------------------------------------+
//| The trade functions of one account                               |
//+------------------------------------------------------------------+
class CBroker
  {
private:
   int               m_error;           // _LastError of what failed last
   bool              m_failed;          // a property could not be read
   ulong             m_tickets[];       // of the list that is being read

public:
                     CBroker(void) : m_error(0),m_failed(false) { }
   // _LastError of the last call: 0 when it did what it should. Of Position(), Order(),
   // HistoryOrder() and HistoryDeal(): 0 also when there is none of this ticket.
   int               LastError(void) const { return(m_error); }
   //--- the account: neither changes in its life
   bool              Hedging(void) const;
   bool              IsDemo(void) const;
   //--- sending: what they return says little, result.retcode is the verdict
   bool              Check(MqlTradeRequest &request,MqlTradeCheckResult &result);
   bool              Send(MqlTradeRequest &request,MqlTradeResult &result);
   bool              SendAsync(MqlTradeRequest &request,MqlTradeResult &result);
   //--- what is open
   int               CountPositions(void) const { return(PositionsTotal()); }
   bool              Positions(SPositionRecord &found[]);
   bool              PositionsOf(const string symbol,SPositionRecord &found[]);
   bool              Position(const ulong ticket,SPositionRecord &found);
   bool              Orders(SOrderRecord &found[]);
   bool              OrdersOf(const string symbol,SOrderRecord &found[]);
   bool              Order(const ulong ticket,SOrderRecord &found);
   //--- the history: HistorySelect may block when it reaches further back than before
   bool              LoadHistory(void);
   bool              HistoryOrders(const long from_msc,const long to_msc,SOrderRecord &found[]);
   bool              HistoryDeals(const long from_msc,const long to_msc,SDealRecord &found[],const ulong order=0);
   bool              HistoryOrder(const ulong ticket,SOrderRecord &found);
   bool              HistoryDeal(const ulong ticket,SDealRecord &found);

private:
   bool              Finish(const bool done,const int error);
   bool              AddTicket(const ulong ticket);
   bool              PositionTickets(void);
   bool              OrderTickets(void);
   bool              ReadPositions(const string symbol,SPositionRecord &found[],bool &changed);
   bool              ReadOrders(const string symbol,SOrderRecord &found[],bool &changed);
   bool              SelectHistory(const long from_msc,const long to_msc);
   void              ReadPosition(SPositionRecord &record);
   void              ReadOrder(SOrderRecord &record);
   void              ReadHistoryOrder(const ulong ticket,SOrderRecord &record);
   void              ReadHistoryDeal(const ulong ticket,SDealRecord &record);
   long              PositionInteger(const ENUM_POSITION_PROPERTY_INTEGER property);
   double            PositionDouble(const ENUM_POSITION_PROPERTY_DOUBLE property);
   string            PositionString(const ENUM_POSITION_PROPERTY_STRING property);
   long              OrderInteger(const ENUM_ORDER_PROPERTY_INTEGER property);
   double            OrderDouble(const ENUM_ORDER_PROPERTY_DOUBLE property);
   string            OrderString(const ENUM_ORDER_PROPERTY_STRING property);
   long              OldOrderInteger(const ulong ticket,const ENUM_ORDER_PROPERTY_INTEGER property);
   double            OldOrderDouble(const ulong ticket,const ENUM_ORDER_PROPERTY_DOUBLE property);
   string            OldOrderString(const ulong ticket,const ENUM_ORDER_PROPERTY_STRING property);
   long              DealInteger(const ulong ticket,const ENUM_DEAL_PROPERTY_INTEGER property);
   double            DealDouble(const ulong ticket,const ENUM_DEAL_PROPERTY_DOUBLE property);
   string            DealString(const ulong ticket,const ENUM_DEAL_PROPERTY_STRING property);
  };

//+------------------------------------------------------------------+
//| The account                                                      |
//+------------------------------------------------------------------+
// Whether a symbol may have many positions.
bool CBroker::Hedging(void) const
  {
   return(AccountInfoInteger(ACCOUNT_MARGIN_MODE)==(long)ACCOUNT_MARGIN_MODE_RETAIL_HEDGING);
  }

bool CBroker::IsDemo(void) const
  {
   return(AccountInfoInteger(ACCOUNT_TRADE_MODE)==(long)ACCOUNT_TRADE_MODE_DEMO);
  }

//+------------------------------------------------------------------+
//| Sending                                                          |
//+------------------------------------------------------------------+
// What failed has an error, also where the terminal named none.
bool CBroker::Finish(const bool done,const int error)
  {
   m_error=0;
   if(!done)
      m_error=(error!=0 ? error : ERR_INTERNAL_ERROR);
   return(done);
  }

bool CBroker::Check(MqlTradeRequest &request,MqlTradeCheckResult &result)
  {
   ZeroMemory(result);
   ResetLastError();
   const bool done=OrderCheck(request,result);
   return(Finish(done,GetLastError()));
  }

// Blocks until the trade server has answered, or the terminal gives it up.
bool CBroker::Send(MqlTradeRequest &request,MqlTradeResult &result)
  {
   ZeroMemory(result);
   ResetLastError();
   const bool done=OrderSend(request,result);
   return(Finish(done,GetLastError()));
  }

// The answer comes as TRADE_TRANSACTION_REQUEST with result.request_id, or never.
bool CBroker::SendAsync(MqlTradeRequest &request,MqlTradeResult &result)
  {
   ZeroMemory(result);
   ResetLastError();
   const bool done=OrderSendAsync(request,result);
   return(Finish(done,GetLastError()));
  }

//+------------------------------------------------------------------+
//| Lists                                                            |
//+------------------------------------------------------------------+
// Put a ticket into its place; true when it was not there.
bool CBroker::AddTicket(const ulong ticket)
  {
   const int total=ArraySize(m_tickets);
   int at=total;
   while(at>0 && m_tickets[at-1]>=ticket)
     {
      if(m_tickets[at-1]==ticket)
         return(false);
      at--;
     }
   if(ArrayResize(m_tickets,total+1,BROKER_RESERVE)!=total+1)
     {
      m_failed=true;
      return(false);
     }
   for(int i=total; i>at; i--)
      m_tickets[i]=m_tickets[i-1];
   m_tickets[at]=ticket;
   return(true);
  }

// The tickets of the open positions. While they are read one after the other, a position may be
// closed, and every one behind it has another index: so until as many are known as there are.
bool CBroker::PositionTickets(void)
  {
   for(int pass=0; pass<BROKER_PASSES_MAX; pass++)
     {
      const int total=PositionsTotal();
      if(pass==0 || ArraySize(m_tickets)>total)
         ArrayFree(m_tickets);
      for(int i=0; i<total && !m_failed; i++)
        {
         const ulong ticket=PositionGetTicket(i);
         if(ticket!=0)
            AddTicket(ticket);
        }
      if(m_failed)
         return(false);
      if(ArraySize(m_tickets)==PositionsTotal())
         return(true);
     }
   return(false);
  }

// The tickets of the open orders.
bool CBroker::OrderTickets(void)
  {
   for(int pass=0; pass<BROKER_PASSES_MAX; pass++)
     {
      const int total=OrdersTotal();
      if(pass==0 || ArraySize(m_tickets)>total)
         ArrayFree(m_tickets);
      for(int i=0; i<total && !m_failed; i++)
        {
         const ulong ticket=OrderGetTicket(i);
         if(ticket!=0)
            AddTicket(ticket);
        }
      if(m_failed)
         return(false);
      if(ArraySize(m_tickets)==OrdersTotal())
         return(true);
     }
   return(false);
  }

bool CBroker::Positions(SPositionRecord &found[])
  {
   return(PositionsOf("",found));
  }

// The open positions of a symbol, of every one with "". One that is gone when it is read was closed
// while the tickets were: then another one had its index, and was passed over.
bool CBroker::PositionsOf(const string symbol,SPositionRecord &found[])
  {
   for(int pass=0; pass<BROKER_PASSES_MAX; pass++)
     {
      bool changed=false;
      const bool done=ReadPositions(symbol,found,changed);
      if(!changed)
         return(done);
     }
   ArrayFree(found);
   return(Finish(false,ERR_TRADE_POSITION_NOT_FOUND));
  }

bool CBroker::ReadPositions(const string symbol,SPositionRecord &found[],bool &changed)
  {
   ArrayFree(found);
   m_failed=false;
   ResetLastError();
   if(!PositionTickets())
      return(Finish(false,GetLastError()));
   int count=0;
   const int total=ArraySize(m_tickets);
   if(ArrayResize(found,total)!=total)
      return(Finish(false,GetLastError()));
   for(int i=0; i<total && !m_failed; i++)
     {
      if(!PositionSelectByTicket(m_tickets[i]))
        {
         changed=true;
         return(false);
        }
      if(symbol!="" && PositionString(POSITION_SYMBOL)!=symbol)
         continue;
      ReadPosition(found[count]);
      count++;
     }
   if(m_failed)
      count=0;
   if(ArrayResize(found,count)!=count)
      return(Finish(false,GetLastError()));
   return(Finish(!m_failed,GetLastError()));
  }

// The open position of a ticket; false without one, then LastError() says whether it is known.
bool CBroker::Position(const ulong ticket,SPositionRecord &found)
  {
   m_error=0;
   if(ticket==0)
      return(false);
   m_failed=false;
   ResetLastError();
   if(!PositionSelectByTicket(ticket))
     {
      const int error=GetLastError();
      m_error=(error==ERR_TRADE_POSITION_NOT_FOUND ? 0 : error);
      return(false);
     }
   ReadPosition(found);
   return(Finish(!m_failed && found.ticket==ticket,GetLastError()));
  }

bool CBroker::Orders(SOrderRecord &found[])
  {
   return(OrdersOf("",found));
  }

// The open orders of a symbol, of every one with ""; as PositionsOf.
bool CBroker::OrdersOf(const string symbol,SOrderRecord &found[])
  {
   for(int pass=0; pass<BROKER_PASSES_MAX; pass++)
     {
      bool changed=false;
      const bool done=ReadOrders(symbol,found,changed);
      if(!changed)
         return(done);
     }
   ArrayFree(found);
   return(Finish(false,ERR_TRADE_ORDER_NOT_FOUND));
  }

bool CBroker::ReadOrders(const string symbol,SOrderRecord &found[],bool &changed)
  {
   ArrayFree(found);
   m_failed=false;
   ResetLastError();
   if(!OrderTickets())
      return(Finish(false,GetLastError()));
   int count=0;
   const int total=ArraySize(m_tickets);
   if(ArrayResize(found,total)!=total)
      return(Finish(false,GetLastError()));
   for(int i=0; i<total && !m_failed; i++)
     {
      if(!OrderSelect(m_tickets[i]))
        {
         changed=true;
         return(false);
        }
      if(symbol!="" && OrderString(ORDER_SYMBOL)!=symbol)
         continue;
      ReadOrder(found[count]);
      count++;
     }
   if(m_failed)
      count=0;
   if(ArrayResize(found,count)!=count)
      return(Finish(false,GetLastError()));
   return(Finish(!m_failed,GetLastError()));
  }

bool CBroker::Order(const ulong ticket,SOrderRecord &found)
  {
   m_error=0;
   if(ticket==0)
      return(false);
   m_failed=false;
   ResetLastError();
   if(!OrderSelect(ticket))
     {
      const int error=GetLastError();
      m_error=(error==ERR_TRADE_ORDER_NOT_FOUND ? 0 : error);
      return(false);
     }
   ReadOrder(found);
   return(Finish(!m_failed && found.ticket==ticket,GetLastError()));
  }

//+------------------------------------------------------------------+
//| The history                                                      |
//+------------------------------------------------------------------+
// HistorySelect counts in seconds, and whether the last one is in it is not written.
bool CBroker::SelectHistory(const long from_msc,const long to_msc)
  {
   m_failed=false;
   long from_s=from_msc/1000;
   if(from_msc<0)
      from_s=0;
   long to_s=to_msc/1000+1;
   if(to_s>BROKER_SECONDS_MAX)
      to_s=BROKER_SECONDS_MAX;
   if(to_s<from_s)
      to_s=from_s;
   ResetLastError();
   return(HistorySelect((datetime)from_s,(datetime)to_s));
  }

// Let the terminal fetch all of the history that it does not have.
bool CBroker::LoadHistory(void)
  {
   ResetLastError();
   const bool there=SelectHistory(0,BROKER_SECONDS_MAX);
   return(Finish(there,GetLastError()));
  }

// The orders that ended in a time.
bool CBroker::HistoryOrders(const long from_msc,const long to_msc,SOrderRecord &found[])
  {
   ArrayFree(found);
   ResetLastError();
   if(!SelectHistory(from_msc,to_msc))
      return(Finish(false,GetLastError()));
   const int total=HistoryOrdersTotal();
   if(total<0 || ArrayResize(found,total)!=total)
      return(Finish(false,GetLastError()));
   int count=0;
   for(int i=0; i<total && !m_failed; i++)
     {
      const ulong ticket=HistoryOrderGetTicket(i);
      if(ticket==0)
        {
         m_failed=true;
         break;
        }
      const long time_msc=OldOrderInteger(ticket,ORDER_TIME_DONE_MSC);
      if(m_failed || time_msc<from_msc || time_msc>to_msc)
         continue;
      SOrderRecord record={};
      ReadHistoryOrder(ticket,record);
      int at=count;
      while(at>0 && (found[at-1].time_done_msc>time_msc
                     || (found[at-1].time_done_msc==time_msc && found[at-1].ticket>ticket)))
        {
         found[at]=found[at-1];
         at--;
        }
      found[at]=record;
      count++;
     }
   if(m_failed)
      count=0;
   if(ArrayResize(found,count)!=count)
      return(Finish(false,GetLastError()));
   return(Finish(!m_failed,GetLastError()));
  }

// The deals of a time; with an order, of that order alone.
bool CBroker::HistoryDeals(const long from_msc,const long to_msc,SDealRecord &found[],const ulong order)
  {
   ArrayFree(found);
   ResetLastError();
   if(!SelectHistory(from_msc,to_msc))
      return(Finish(false,GetLastError()));
   const int total=HistoryDealsTotal();
   if(total<0 || ArrayResize(found,total)!=total)
      return(Finish(false,GetLastError()));
   int count=0;
   for(int i=0; i<total && !m_failed; i++)
     {
      const ulong ticket=HistoryDealGetTicket(i);
      if(ticket==0)
        {
         m_failed=true;
         break;
        }
      if(order!=0 && (ulong)DealInteger(ticket,DEAL_ORDER)!=order)
         continue;
      const long time_msc=DealInteger(ticket,DEAL_TIME_MSC);
      if(m_failed || time_msc<from_msc || time_msc>to_msc)
         continue;
      SDealRecord record={};
      ReadHistoryDeal(ticket,record);
      int at=count;
      while(at>0 && (found[at-1].time_msc>time_msc
                     || (found[at-1].time_msc==time_msc && found[at-1].ticket>ticket)))
        {
         found[at]=found[at-1];
         at--;
        }
      found[at]=record;
      count++;
     }
   if(m_failed)
      count=0;
   if(ArrayResize(found,count)!=count)
      return(Finish(false,GetLastError()));
   return(Finish(!m_failed,GetLastError()));
  }

// The ended order of a ticket; false without one, then LastError() says whether it is known.
bool CBroker::HistoryOrder(const ulong ticket,SOrderRecord &found)
  {
   m_error=0;
   if(ticket==0)
      return(false);
   m_failed=false;
   ResetLastError();
   if(!HistoryOrderSelect(ticket))
     {
      const int error=GetLastError();
      m_error=(error==ERR_TRADE_ORDER_NOT_FOUND ? 0 : error);
      return(false);
     }
   ReadHistoryOrder(ticket,found);
   return(Finish(!m_failed && found.ticket==ticket,GetLastError()));
  }

bool CBroker::HistoryDeal(const ulong ticket,SDealRecord &found)
  {
   m_error=0;
   if(ticket==0)
      return(false);
   m_failed=false;
   ResetLastError();
   if(!HistoryDealSelect(ticket))
     {
      const int error=GetLastError();
      m_error=(error==ERR_TRADE_DEAL_NOT_FOUND ? 0 : error);
      return(false);
     }
   ReadHistoryDeal(ticket,found);
   return(Finish(!m_failed && found.ticket==ticket,GetLastError()));
  }

//+------------------------------------------------------------------+
//| Records                                                          |
//+------------------------------------------------------------------+
void CBroker::ReadPosition(SPositionRecord &record)
  {
   record.ticket=(ulong)PositionInteger(POSITION_TICKET);
   record.time=PositionInteger(POSITION_TIME);
   record.time_msc=PositionInteger(POSITION_TIME_MSC);
   record.time_update=PositionInteger(POSITION_TIME_UPDATE);
   record.time_update_msc=PositionInteger(POSITION_TIME_UPDATE_MSC);
   record.type=(uint)PositionInteger(POSITION_TYPE);
   record.magic=(ulong)PositionInteger(POSITION_MAGIC);
   record.identifier=(ulong)PositionInteger(POSITION_IDENTIFIER);
   record.reason=(uint)PositionInteger(POSITION_REASON);
   record.volume=PositionDouble(POSITION_VOLUME);
   record.price_open=PositionDouble(POSITION_PRICE_OPEN);
   record.sl=PositionDouble(POSITION_SL);
   record.tp=PositionDouble(POSITION_TP);
   record.price_current=PositionDouble(POSITION_PRICE_CURRENT);
   record.swap=PositionDouble(POSITION_SWAP);
   record.profit=PositionDouble(POSITION_PROFIT);
   record.symbol=PositionString(POSITION_SYMBOL);
   record.comment=PositionString(POSITION_COMMENT);
   record.external_id=PositionString(POSITION_EXTERNAL_ID);
  }

void CBroker::ReadOrder(SOrderRecord &record)
  {
   record.ticket=(ulong)OrderInteger(ORDER_TICKET);
   record.time_setup=OrderInteger(ORDER_TIME_SETUP);
   record.time_setup_msc=OrderInteger(ORDER_TIME_SETUP_MSC);
   record.time_done=OrderInteger(ORDER_TIME_DONE);
   record.time_done_msc=OrderInteger(ORDER_TIME_DONE_MSC);
   record.time_expiration=OrderInteger(ORDER_TIME_EXPIRATION);
   record.type=(uint)OrderInteger(ORDER_TYPE);
   record.type_time=(uint)OrderInteger(ORDER_TYPE_TIME);
   record.type_filling=(uint)OrderInteger(ORDER_TYPE_FILLING);
   record.state=(uint)OrderInteger(ORDER_STATE);
   record.magic=(ulong)OrderInteger(ORDER_MAGIC);
   record.position_id=(ulong)OrderInteger(ORDER_POSITION_ID);
   record.position_by_id=(ulong)OrderInteger(ORDER_POSITION_BY_ID);
   record.reason=(uint)OrderInteger(ORDER_REASON);
   record.volume_initial=OrderDouble(ORDER_VOLUME_INITIAL);
   record.volume_current=OrderDouble(ORDER_VOLUME_CURRENT);
   record.price_open=OrderDouble(ORDER_PRICE_OPEN);
   record.sl=OrderDouble(ORDER_SL);
   record.tp=OrderDouble(ORDER_TP);
   record.price_current=OrderDouble(ORDER_PRICE_CURRENT);
   record.price_stoplimit=OrderDouble(ORDER_PRICE_STOPLIMIT);
   record.symbol=OrderString(ORDER_SYMBOL);
   record.comment=OrderString(ORDER_COMMENT);
   record.external_id=OrderString(ORDER_EXTERNAL_ID);
  }

void CBroker::ReadHistoryOrder(const ulong ticket,SOrderRecord &record)
  {
   record.ticket=(ulong)OldOrderInteger(ticket,ORDER_TICKET);
   record.time_setup=OldOrderInteger(ticket,ORDER_TIME_SETUP);
   record.time_setup_msc=OldOrderInteger(ticket,ORDER_TIME_SETUP_MSC);
   record.time_done=OldOrderInteger(ticket,ORDER_TIME_DONE);
   record.time_done_msc=OldOrderInteger(ticket,ORDER_TIME_DONE_MSC);
   record.time_expiration=OldOrderInteger(ticket,ORDER_TIME_EXPIRATION);
   record.type=(uint)OldOrderInteger(ticket,ORDER_TYPE);
   record.type_time=(uint)OldOrderInteger(ticket,ORDER_TYPE_TIME);
   record.type_filling=(uint)OldOrderInteger(ticket,ORDER_TYPE_FILLING);
   record.state=(uint)OldOrderInteger(ticket,ORDER_STATE);
   record.magic=(ulong)OldOrderInteger(ticket,ORDER_MAGIC);
   record.position_id=(ulong)OldOrderInteger(ticket,ORDER_POSITION_ID);
   record.position_by_id=(ulong)OldOrderInteger(ticket,ORDER_POSITION_BY_ID);
   record.reason=(uint)OldOrderInteger(ticket,ORDER_REASON);
   record.volume_initial=OldOrderDouble(ticket,ORDER_VOLUME_INITIAL);
   record.volume_current=OldOrderDouble(ticket,ORDER_VOLUME_CURRENT);
   record.price_open=OldOrderDouble(ticket,ORDER_PRICE_OPEN);
   record.sl=OldOrderDouble(ticket,ORDER_SL);
   record.tp=OldOrderDouble(ticket,ORDER_TP);
   record.price_current=OldOrderDouble(ticket,ORDER_PRICE_CURRENT);
   record.price_stoplimit=OldOrderDouble(ticket,ORDER_PRICE_STOPLIMIT);
   record.symbol=OldOrderString(ticket,ORDER_SYMBOL);
   record.comment=OldOrderString(ticket,ORDER_COMMENT);
   record.external_id=OldOrderString(ticket,ORDER_EXTERNAL_ID);
  }

void CBroker::ReadHistoryDeal(const ulong ticket,SDealRecord &record)
  {
   record.ticket=(ulong)DealInteger(ticket,DEAL_TICKET);
   record.order=(ulong)DealInteger(ticket,DEAL_ORDER);
   record.time=DealInteger(ticket,DEAL_TIME);
   record.time_msc=DealInteger(ticket,DEAL_TIME_MSC);
   record.type=(uint)DealInteger(ticket,DEAL_TYPE);
   record.entry=(uint)DealInteger(ticket,DEAL_ENTRY);
   record.magic=(ulong)DealInteger(ticket,DEAL_MAGIC);
   record.position_id=(ulong)DealInteger(ticket,DEAL_POSITION_ID);
   record.reason=(uint)DealInteger(ticket,DEAL_REASON);
   record.volume=DealDouble(ticket,DEAL_VOLUME);
   record.price=DealDouble(ticket,DEAL_PRICE);
   record.commission=DealDouble(ticket,DEAL_COMMISSION);
   record.swap=DealDouble(ticket,DEAL_SWAP);
   record.profit=DealDouble(ticket,DEAL_PROFIT);
   record.fee=DealDouble(ticket,DEAL_FEE);
   record.symbol=DealString(ticket,DEAL_SYMBOL);
   record.comment=DealString(ticket,DEAL_COMMENT);
   record.external_id=DealString(ticket,DEAL_EXTERNAL_ID);
  }

//+------------------------------------------------------------------+
//| Properties: one that cannot be read spoils the record            |
//+------------------------------------------------------------------+
long CBroker::PositionInteger(const ENUM_POSITION_PROPERTY_INTEGER property)
  {
   long value=0;
   if(!PositionGetInteger(property,value))
      m_failed=true;
   return(value);
  }

double CBroker::PositionDouble(const ENUM_POSITION_PROPERTY_DOUBLE property)
  {
   double value=0.0;
   if(!PositionGetDouble(property,value))
      m_failed=true;
   return(value);
  }

string CBroker::PositionString(const ENUM_POSITION_PROPERTY_STRING property)
  {
   string value="";
   if(!PositionGetString(property,value))
      m_failed=true;
   return(value);
  }

long CBroker::OrderInteger(const ENUM_ORDER_PROPERTY_INTEGER property)
  {
   long value=0;
   if(!OrderGetInteger(property,value))
      m_failed=true;
   return(value);
  }

double CBroker::OrderDouble(const ENUM_ORDER_PROPERTY_DOUBLE property)
  {
   double value=0.0;
   if(!OrderGetDouble(property,value))
      m_failed=true;
   return(value);
  }

string CBroker::OrderString(const ENUM_ORDER_PROPERTY_STRING property)
  {
   string value="";
   if(!OrderGetString(property,value))
      m_failed=true;
   return(value);
  }

long CBroker::OldOrderInteger(const ulong ticket,const ENUM_ORDER_PROPERTY_INTEGER property)
  {
   long value=0;
   if(!HistoryOrderGetInteger(ticket,property,value))
      m_failed=true;
   return(value);
  }

double CBroker::OldOrderDouble(const ulong ticket,const ENUM_ORDER_PROPERTY_DOUBLE property)
  {
   double value=0.0;
   if(!HistoryOrderGetDouble(ticket,property,value))
      m_failed=true;
   return(value);
  }

string CBroker::OldOrderString(const ulong ticket,const ENUM_ORDER_PROPERTY_STRING property)
  {
   string value="";
   if(!HistoryOrderGetString(ticket,property,value))
      m_failed=true;
   return(value);
  }

long CBroker::DealInteger(const ulong ticket,const ENUM_DEAL_PROPERTY_INTEGER property)
  {
   long value=0;
   if(!HistoryDealGetInteger(ticket,property,value))
      m_failed=true;
   return(value);
  }

double CBroker::DealDouble(const ulong ticket,const ENUM_DEAL_PROPERTY_DOUBLE property)
  {
   double value=0.0;
   if(!HistoryDealGetDouble(ticket,property,value))
      m_failed=true;
   return(value);
  }

string CBroker::DealString(const ulong ticket,const ENUM_DEAL_PROPERTY_STRING property)
  {
   string value="";
   if(!HistoryDealGetString(ticket,property,value))
      m_failed=true;
   return(value);
  }

#endif // BRIDGE_TRADE_BROKERACCESS_MQH
