//+------------------------------------------------------------------+
//|                                                     requests.mq5 |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The EA's request maker, driven by test_ea_requests.py as bridge/sim/trading_request.py is by its
// own tests. A chart event is a call: its id says which; what it gave is printed.

#property copyright   "mt5-zmq-bridge contributors, MIT licence"
#property version     "1.00"
#property description "Obeys the tests of the request maker."

#include <Bridge/Trade/RequestMaker.mqh>

enum ENUM_ORDER_OF_TEST
  {
   CALL_CHECK=1,
   CALL_MAKE,
   CALL_REDUCES,
   CALL_POSITIONS,
   CALL_ORDERS,
   CALL_HISTORY_ORDERS,
   CALL_HISTORY_DEALS
  };

CBroker        g_broker;
CRequestMaker  g_maker(&g_broker);

string Bits(const double value)
  {
   return(StringFormat("|%I64u",DoubleToBits(value)));
  }

string Text(const string value)
  {
   uchar bytes[];
   const int size=TextToUtf8(value,bytes);
   return("|"+(size>0 ? BytesToHex(bytes,0,size) : ""));
  }

string Whole(const ulong value)
  {
   return(StringFormat("|%I64u",value));
  }

string Signed(const long value)
  {
   return(StringFormat("|%I64d",value));
  }

// A number that no message can carry.
double Impossible(const string word)
  {
   if(word=="nan")
      return(BitsToDouble(0x7FF8000000000000));
   return(BitsToDouble(0x7FF0000000000000));
  }

bool Take(const string text,SNew &order)
  {
   string parts[];
   if(StringSplit(text,' ',parts)<1)
      return(false);
   uchar body[];
   string problem="";
   if(HexToBytes(parts[0],body)<0 || !order.Unpack(body,problem))
     {
      Print("! ",problem);
      return(false);
     }
   for(int i=1; i+1<ArraySize(parts); i+=2)
     {
      const double value=Impossible(parts[i+1]);
      if(parts[i]=="volume")
         order.request.volume=value;
      if(parts[i]=="price")
         order.request.price=value;
      if(parts[i]=="sl")
         order.request.sl=value;
      if(parts[i]=="tp")
         order.request.tp=value;
      if(parts[i]=="stoplimit")
         order.request.stoplimit=value;
     }
   return(true);
  }

void SayRequest(const SDraft &draft)
  {
   const MqlTradeRequest request=draft.request;
   string line="=";
   line+=Whole((ulong)request.action)+Whole(request.magic)+Whole(request.order);
   line+=Text(request.symbol);
   line+=Bits(request.volume)+Bits(request.price)+Bits(request.stoplimit)+Bits(request.sl);
   line+=Bits(request.tp)+Whole(request.deviation)+Whole((ulong)request.type);
   line+=Whole((ulong)request.type_filling)+Whole((ulong)request.type_time);
   line+=Signed((long)request.expiration);
   line+=Text(request.comment);
   line+=Whole(request.position);
   line+=Whole(request.position_by);
   for(int i=0; i<draft.before_count; i++)
      line+=Bits(draft.before[i]);
   Print(line);
  }

void SayOrder(const SOrderRecord &order)
  {
   string line="=";
   line+=Whole(order.ticket)+Signed(order.time_setup)+Signed(order.time_setup_msc)+Signed(order.time_done);
   line+=Signed(order.time_done_msc)+Signed(order.time_expiration)+Whole(order.type);
   line+=Whole(order.type_time)+Whole(order.type_filling)+Whole(order.state)+Whole(order.magic);
   line+=Whole(order.position_id)+Whole(order.position_by_id)+Whole(order.reason);
   line+=Bits(order.volume_initial)+Bits(order.volume_current)+Bits(order.price_open)+Bits(order.sl);
   line+=Bits(order.tp)+Bits(order.price_current)+Bits(order.price_stoplimit);
   line+=Text(order.symbol);
   line+=Text(order.comment);
   line+=Text(order.external_id);
   Print(line);
  }

void SayDeal(const SDealRecord &deal)
  {
   string line="=";
   line+=Whole(deal.ticket)+Whole(deal.order)+Signed(deal.time)+Signed(deal.time_msc)+Whole(deal.type);
   line+=Whole(deal.entry)+Whole(deal.magic)+Whole(deal.position_id)+Whole(deal.reason);
   line+=Bits(deal.volume)+Bits(deal.price)+Bits(deal.commission)+Bits(deal.swap)+Bits(deal.profit);
   line+=Bits(deal.fee);
   line+=Text(deal.symbol);
   line+=Text(deal.comment);
   line+=Text(deal.external_id);
   Print(line);
  }

void SayPosition(const SPositionRecord &position)
  {
   string line="=";
   line+=Whole(position.ticket)+Signed(position.time)+Signed(position.time_msc);
   line+=Signed(position.time_update)+Signed(position.time_update_msc)+Whole(position.type);
   line+=Whole(position.magic)+Whole(position.identifier)+Whole(position.reason);
   line+=Bits(position.volume)+Bits(position.price_open)+Bits(position.sl)+Bits(position.tp);
   line+=Bits(position.price_current)+Bits(position.swap)+Bits(position.profit);
   line+=Text(position.symbol);
   line+=Text(position.comment);
   line+=Text(position.external_id);
   Print(line);
  }

void Obey(const int id,const uint flags,const bool hedging,const SNew &order)
  {
   SRefusal refusal={};
   SDraft draft;
   switch(id)
     {
      case CALL_CHECK:
         if(!g_maker.Check(order.request,flags,refusal))
            Print("-",refusal.reason," ",refusal.text);
         return;
      case CALL_MAKE:
         if(g_maker.Make(order.request,flags,order.tag,draft,refusal))
            SayRequest(draft);
         else
            Print("-",refusal.reason," ",refusal.text);
         return;
      case CALL_REDUCES:
         Print("=",ReducesOnly(order.request,flags,hedging) ? "yes" : "no");
         return;
     }
  }

void Positions(const string symbol)
  {
   SPositionRecord found[];
   if(!g_broker.PositionsOf(symbol,found))
      Print("! ",g_broker.LastError());
   for(int i=0; i<ArraySize(found); i++)
     {
      SPositionRecord again={};
      if(!g_broker.Position(found[i].ticket,again) || again.ticket!=found[i].ticket)
         Print("! ",g_broker.LastError());
      SayPosition(again);
     }
  }

void Orders(const string symbol)
  {
   SOrderRecord found[];
   if(!g_broker.OrdersOf(symbol,found))
      Print("! ",g_broker.LastError());
   for(int i=0; i<ArraySize(found); i++)
     {
      SOrderRecord again={};
      if(!g_broker.Order(found[i].ticket,again) || again.ticket!=found[i].ticket)
         Print("! ",g_broker.LastError());
      SayOrder(again);
     }
  }

void HistoryOfOrders(const long from_msc,const long to_msc)
  {
   SOrderRecord found[];
   if(!g_broker.HistoryOrders(from_msc,to_msc,found))
      Print("! ",g_broker.LastError());
   for(int i=0; i<ArraySize(found); i++)
     {
      SOrderRecord again={};
      if(!g_broker.HistoryOrder(found[i].ticket,again) || again.ticket!=found[i].ticket)
         Print("! ",g_broker.LastError());
      SayOrder(again);
     }
  }

void HistoryOfDeals(const long from_msc,const long to_msc)
  {
   SDealRecord found[];
   if(!g_broker.HistoryDeals(from_msc,to_msc,found))
      Print("! ",g_broker.LastError());
   for(int i=0; i<ArraySize(found); i++)
     {
      SDealRecord again={};
      if(!g_broker.HistoryDeal(found[i].ticket,again) || again.ticket!=found[i].ticket)
         Print("! ",g_broker.LastError());
      SayDeal(again);
     }
  }

int OnInit(void)
  {
   return(INIT_SUCCEEDED);
  }

void OnDeinit(const int reason)
  {
  }

void OnChartEvent(const int id,const long &lparam,const double &dparam,const string &sparam)
  {
   SNew order;
   switch(id)
     {
      case CALL_POSITIONS:
         Positions(sparam);
         break;
      case CALL_ORDERS:
         Orders(sparam);
         break;
      case CALL_HISTORY_ORDERS:
         HistoryOfOrders(lparam,StringToInteger(sparam));
         break;
      case CALL_HISTORY_DEALS:
         HistoryOfDeals(lparam,StringToInteger(sparam));
         break;
      default:
         if(Take(sparam,order))
            Obey(id,(uint)lparam,dparam>0.5,order);
         break;
     }
   Print("#");
  }
//+------------------------------------------------------------------+
