//+------------------------------------------------------------------+
//|                                                       Trader.mq5 |
//| Calls the trade functions as the tests tell it, and prints what  |
//| came of it. A chart event is an order: its text has the words.   |
//+------------------------------------------------------------------+
#property version     "1.00"
#property description "Obeys the tests of the trade functions."

input int    InpTradeMs=0;       // how long OnTradeTransaction takes
input bool   InpTradeQuiet=false; // only count the transactions

int    g_transactions=0;
ulong  g_first=0;
ulong  g_last=0;
string g_words[];
//+------------------------------------------------------------------+
//| The value of a word NAME=VALUE, empty without one                |
//+------------------------------------------------------------------+
string Word(const string name)
  {
   for(int i=0; i<ArraySize(g_words); i++)
     {
      if(StringFind(g_words[i],name+"=")==0)
         return(StringSubstr(g_words[i],StringLen(name)+1));
     }
   return("");
  }
//+------------------------------------------------------------------+
//| A number that may be larger than a long                          |
//+------------------------------------------------------------------+
ulong Number(const string name)
  {
   string text=Word(name);
   ulong value=0;
   for(int i=0; i<StringLen(text); i++)
      value=value*10+(ulong)(StringGetCharacter(text,i)-'0');
   return(value);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
double Real(const string name)
  {
   if(Word(name)=="nan")
      return(MathSqrt(-1.0));
   return(StringToDouble(Word(name)));
  }
//+------------------------------------------------------------------+
//| The request that the words describe                              |
//+------------------------------------------------------------------+
void Fill(MqlTradeRequest &request)
  {
   ZeroMemory(request);
   request.action=(ENUM_TRADE_REQUEST_ACTIONS)Number("action");
   request.magic=Number("magic");
   request.order=Number("order");
   request.symbol=Word("symbol");
   request.volume=Real("volume");
   request.price=Real("price");
   request.stoplimit=Real("stoplimit");
   request.sl=Real("sl");
   request.tp=Real("tp");
   request.deviation=Number("deviation");
   request.type=(ENUM_ORDER_TYPE)Number("type");
   request.type_filling=(ENUM_ORDER_TYPE_FILLING)Number("filling");
   request.type_time=(ENUM_ORDER_TYPE_TIME)Number("time");
   request.expiration=(datetime)Number("expiration");
   request.comment=Word("comment");
   request.position=Number("position");
   request.position_by=Number("position_by");
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void Send(const bool asynchronous)
  {
   MqlTradeRequest request={};
   MqlTradeResult result={};
   Fill(request);
   ulong start=GetMicrosecondCount();
   ResetLastError();
   bool sent=false;
   if(asynchronous)
      sent=OrderSendAsync(request,result);
   else
      sent=OrderSend(request,result);
   int error=GetLastError();
   Print("sent ",sent," error ",error," retcode ",result.retcode," deal ",result.deal,
         " order ",result.order," volume ",result.volume," price ",result.price,
         " id ",result.request_id," us ",GetMicrosecondCount()-start," comment ",result.comment);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void Check()
  {
   MqlTradeRequest request={};
   MqlTradeCheckResult result={};
   Fill(request);
   ResetLastError();
   bool passed=OrderCheck(request,result);
   int error=GetLastError();
   Print("check ",passed," error ",error," retcode ",result.retcode," margin ",result.margin,
         " free ",result.margin_free," balance ",result.balance," comment ",result.comment);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void Calculate()
  {
   double value=0.0;
   ResetLastError();
   bool done=OrderCalcMargin((ENUM_ORDER_TYPE)Number("type"),Word("symbol"),Real("volume"),
                             Real("price"),value);
   Print("margin ",done," ",value," error ",GetLastError());
   ResetLastError();
   done=OrderCalcProfit((ENUM_ORDER_TYPE)Number("type"),Word("symbol"),Real("volume"),
                        Real("price"),Real("close"),value);
   Print("profit ",done," ",value," error ",GetLastError());
  }
//+------------------------------------------------------------------+
//| All properties of the position that is selected, by one overload |
//+------------------------------------------------------------------+
void Position()
  {
   ResetLastError();
   long ticket=PositionGetInteger(POSITION_TICKET);
   int error=GetLastError();
   Print("position ",ticket," ",
         PositionGetInteger(POSITION_TIME)," ",PositionGetInteger(POSITION_TIME_MSC)," ",
         PositionGetInteger(POSITION_TIME_UPDATE)," ",
         PositionGetInteger(POSITION_TIME_UPDATE_MSC)," ",PositionGetInteger(POSITION_TYPE)," ",
         (ulong)PositionGetInteger(POSITION_MAGIC)," ",
         PositionGetInteger(POSITION_IDENTIFIER)," ",PositionGetInteger(POSITION_REASON)," ",
         PositionGetDouble(POSITION_VOLUME)," ",PositionGetDouble(POSITION_PRICE_OPEN)," ",
         PositionGetDouble(POSITION_SL)," ",PositionGetDouble(POSITION_TP)," ",
         PositionGetDouble(POSITION_PRICE_CURRENT)," ",PositionGetDouble(POSITION_SWAP)," ",
         PositionGetDouble(POSITION_PROFIT)," ",PositionGetString(POSITION_SYMBOL)," ",
         PositionGetString(POSITION_COMMENT)," ",PositionGetString(POSITION_EXTERNAL_ID),
         " error ",error);
  }
//+------------------------------------------------------------------+
//| The same by the other overload                                   |
//+------------------------------------------------------------------+
void PositionAgain()
  {
   ResetLastError();
   long ticket=-1;
   double volume=-1.0;
   string symbol="nothing";
   bool has_ticket=PositionGetInteger(POSITION_TICKET,ticket);
   bool has_volume=PositionGetDouble(POSITION_VOLUME,volume);
   bool has_symbol=PositionGetString(POSITION_SYMBOL,symbol);
   Print("again ",has_ticket," ",ticket," ",has_volume," ",volume," ",has_symbol," ",symbol,
         " error ",GetLastError());
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void Positions()
  {
   int total=PositionsTotal();
   Print("positions ",total);
   for(int i=0; i<total; i++)
     {
      ulong ticket=PositionGetTicket(i);
      string symbol=PositionGetSymbol(i);
      Print("at ",i," ",ticket," ",symbol);
      Position();
     }
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void Order()
  {
   ResetLastError();
   long ticket=OrderGetInteger(ORDER_TICKET);
   int error=GetLastError();
   Print("order ",ticket," ",OrderGetInteger(ORDER_TIME_SETUP)," ",
         OrderGetInteger(ORDER_TIME_SETUP_MSC)," ",OrderGetInteger(ORDER_TIME_DONE)," ",
         OrderGetInteger(ORDER_TIME_EXPIRATION)," ",OrderGetInteger(ORDER_TYPE)," ",
         OrderGetInteger(ORDER_TYPE_TIME)," ",OrderGetInteger(ORDER_TYPE_FILLING)," ",
         OrderGetInteger(ORDER_STATE)," ",(ulong)OrderGetInteger(ORDER_MAGIC)," ",
         OrderGetInteger(ORDER_POSITION_ID)," ",OrderGetInteger(ORDER_POSITION_BY_ID)," ",
         OrderGetInteger(ORDER_REASON)," ",OrderGetDouble(ORDER_VOLUME_INITIAL)," ",
         OrderGetDouble(ORDER_VOLUME_CURRENT)," ",OrderGetDouble(ORDER_PRICE_OPEN)," ",
         OrderGetDouble(ORDER_SL)," ",OrderGetDouble(ORDER_TP)," ",
         OrderGetDouble(ORDER_PRICE_CURRENT)," ",OrderGetDouble(ORDER_PRICE_STOPLIMIT)," ",
         OrderGetString(ORDER_SYMBOL)," ",OrderGetString(ORDER_COMMENT)," ",
         OrderGetString(ORDER_EXTERNAL_ID)," error ",error);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void OrderAgain()
  {
   ResetLastError();
   long ticket=-1;
   double volume=-1.0;
   string symbol="nothing";
   bool has_ticket=OrderGetInteger(ORDER_TICKET,ticket);
   bool has_volume=OrderGetDouble(ORDER_VOLUME_CURRENT,volume);
   bool has_symbol=OrderGetString(ORDER_SYMBOL,symbol);
   Print("again ",has_ticket," ",ticket," ",has_volume," ",volume," ",has_symbol," ",symbol,
         " error ",GetLastError());
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void Orders()
  {
   int total=OrdersTotal();
   Print("orders ",total);
   for(int i=0; i<total; i++)
     {
      ulong ticket=OrderGetTicket(i);
      Print("at ",i," ",ticket);
      Order();
     }
  }
//+------------------------------------------------------------------+
//| What the history has selected                                    |
//+------------------------------------------------------------------+
void History(const bool selected,const int error)
  {
   Print("history ",selected," orders ",HistoryOrdersTotal()," deals ",HistoryDealsTotal(),
         " error ",error);
   for(int i=0; i<HistoryOrdersTotal(); i++)
     {
      ulong ticket=HistoryOrderGetTicket(i);
      Print("old order ",ticket," ",HistoryOrderGetInteger(ticket,ORDER_TYPE)," ",
            HistoryOrderGetInteger(ticket,ORDER_STATE)," ",
            HistoryOrderGetInteger(ticket,ORDER_TIME_DONE)," ",
            HistoryOrderGetInteger(ticket,ORDER_TIME_DONE_MSC)," ",
            HistoryOrderGetInteger(ticket,ORDER_POSITION_ID)," ",
            HistoryOrderGetDouble(ticket,ORDER_VOLUME_INITIAL)," ",
            HistoryOrderGetString(ticket,ORDER_SYMBOL)," ",
            HistoryOrderGetString(ticket,ORDER_COMMENT));
     }
   for(int i=0; i<HistoryDealsTotal(); i++)
     {
      ulong ticket=HistoryDealGetTicket(i);
      Print("deal ",ticket," ",HistoryDealGetInteger(ticket,DEAL_ORDER)," ",
            HistoryDealGetInteger(ticket,DEAL_TIME)," ",
            HistoryDealGetInteger(ticket,DEAL_TIME_MSC)," ",
            HistoryDealGetInteger(ticket,DEAL_TYPE)," ",
            HistoryDealGetInteger(ticket,DEAL_ENTRY)," ",
            (ulong)HistoryDealGetInteger(ticket,DEAL_MAGIC)," ",
            HistoryDealGetInteger(ticket,DEAL_REASON)," ",
            HistoryDealGetInteger(ticket,DEAL_POSITION_ID)," ",
            HistoryDealGetDouble(ticket,DEAL_VOLUME)," ",
            HistoryDealGetDouble(ticket,DEAL_PRICE)," ",
            HistoryDealGetDouble(ticket,DEAL_PROFIT)," ",
            HistoryDealGetString(ticket,DEAL_SYMBOL)," ",
            HistoryDealGetString(ticket,DEAL_COMMENT));
     }
  }
//+------------------------------------------------------------------+
//| Overloads for one ticket, whether it is selected or not          |
//+------------------------------------------------------------------+
void OldOrder(const ulong ticket)
  {
   long state=-1;
   double volume=-1.0;
   string symbol="nothing";
   ResetLastError();
   bool has_state=HistoryOrderGetInteger(ticket,ORDER_STATE,state);
   bool has_volume=HistoryOrderGetDouble(ticket,ORDER_VOLUME_INITIAL,volume);
   bool has_symbol=HistoryOrderGetString(ticket,ORDER_SYMBOL,symbol);
   Print("old ",has_state," ",state," ",has_volume," ",volume," ",has_symbol," ",symbol,
         " error ",GetLastError());
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void OldDeal(const ulong ticket)
  {
   long entry=-1;
   double volume=-1.0;
   string symbol="nothing";
   ResetLastError();
   bool has_entry=HistoryDealGetInteger(ticket,DEAL_ENTRY,entry);
   bool has_volume=HistoryDealGetDouble(ticket,DEAL_VOLUME,volume);
   bool has_symbol=HistoryDealGetString(ticket,DEAL_SYMBOL,symbol);
   Print("old ",has_entry," ",entry," ",has_volume," ",volume," ",has_symbol," ",symbol,
         " error ",GetLastError());
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void Account()
  {
   Print("account ",AccountInfoInteger(ACCOUNT_LOGIN)," mode ",
         AccountInfoInteger(ACCOUNT_TRADE_MODE)," margin mode ",
         AccountInfoInteger(ACCOUNT_MARGIN_MODE)," leverage ",
         AccountInfoInteger(ACCOUNT_LEVERAGE)," limit ",
         AccountInfoInteger(ACCOUNT_LIMIT_ORDERS)," allowed ",
         AccountInfoInteger(ACCOUNT_TRADE_ALLOWED)," expert ",
         AccountInfoInteger(ACCOUNT_TRADE_EXPERT)," so ",
         AccountInfoInteger(ACCOUNT_MARGIN_SO_MODE)," digits ",
         AccountInfoInteger(ACCOUNT_CURRENCY_DIGITS)," fifo ",
         AccountInfoInteger(ACCOUNT_FIFO_CLOSE)," hedge ",
         AccountInfoInteger(ACCOUNT_HEDGE_ALLOWED)," balance ",
         AccountInfoDouble(ACCOUNT_BALANCE)," equity ",AccountInfoDouble(ACCOUNT_EQUITY),
         " margin ",AccountInfoDouble(ACCOUNT_MARGIN)," free ",
         AccountInfoDouble(ACCOUNT_MARGIN_FREE)," profit ",AccountInfoDouble(ACCOUNT_PROFIT),
         " call ",AccountInfoDouble(ACCOUNT_MARGIN_SO_CALL)," out ",
         AccountInfoDouble(ACCOUNT_MARGIN_SO_SO)," name ",AccountInfoString(ACCOUNT_NAME),
         " server ",AccountInfoString(ACCOUNT_SERVER)," currency ",
         AccountInfoString(ACCOUNT_CURRENCY));
   Print("flags ",TerminalInfoInteger(TERMINAL_CONNECTED)," ",
         TerminalInfoInteger(TERMINAL_TRADE_ALLOWED)," ",MQLInfoInteger(MQL_TRADE_ALLOWED));
   Print("server ",(long)TimeTradeServer()," utc ",(long)TimeGMT());
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void Conditions(const string symbol)
  {
   Print("symbol ",SymbolInfoInteger(symbol,SYMBOL_FILLING_MODE)," ",
         SymbolInfoInteger(symbol,SYMBOL_TRADE_EXEMODE)," ",
         SymbolInfoInteger(symbol,SYMBOL_TRADE_MODE)," ",
         SymbolInfoInteger(symbol,SYMBOL_ORDER_MODE)," ",
         SymbolInfoInteger(symbol,SYMBOL_EXPIRATION_MODE)," ",
         SymbolInfoInteger(symbol,SYMBOL_TRADE_STOPS_LEVEL)," ",
         SymbolInfoInteger(symbol,SYMBOL_TRADE_FREEZE_LEVEL)," ",
         SymbolInfoDouble(symbol,SYMBOL_VOLUME_MIN)," ",
         SymbolInfoDouble(symbol,SYMBOL_VOLUME_MAX)," ",
         SymbolInfoDouble(symbol,SYMBOL_VOLUME_STEP)," ",
         SymbolInfoDouble(symbol,SYMBOL_VOLUME_LIMIT)," ",
         SymbolInfoDouble(symbol,SYMBOL_TRADE_TICK_SIZE)," ",
         SymbolInfoDouble(symbol,SYMBOL_TRADE_CONTRACT_SIZE));
   double initial=0.0;
   double maintenance=0.0;
   bool known=SymbolInfoMarginRate(symbol,ORDER_TYPE_BUY,initial,maintenance);
   Print("rate ",known," ",initial," ",maintenance);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void OnTrade()
  {
   if(!InpTradeQuiet)
      Print("OnTrade");
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void OnTradeTransaction(const MqlTradeTransaction &trans,
                        const MqlTradeRequest &request,
                        const MqlTradeResult &result)
  {
   g_transactions++;
   if(g_first==0)
      g_first=trans.order;
   g_last=trans.order;
   if(!InpTradeQuiet)
     {
      Print("transaction ",StringSubstr(EnumToString(trans.type),18)," deal ",trans.deal,
            " order ",trans.order," ",trans.symbol," type ",(int)trans.order_type,
            " state ",(int)trans.order_state," of ",(int)trans.deal_type," price ",trans.price,
            " sl ",trans.price_sl," tp ",trans.price_tp," volume ",trans.volume,
            " position ",trans.position," by ",trans.position_by);
      if(trans.type==TRADE_TRANSACTION_REQUEST)
         Print("request ",(int)request.action," ",request.symbol," ",request.volume," ",
               request.magic," ",request.comment," result ",result.retcode," id ",
               result.request_id," deal ",result.deal," order ",result.order);
     }
   if(InpTradeMs>0)
      Sleep(InpTradeMs);
  }
//+------------------------------------------------------------------+
//| A database of the program's own, for what happens to its writes  |
//+------------------------------------------------------------------+
void Database()
  {
   ResetLastError();
   int database=DatabaseOpen("trader.sqlite",DATABASE_OPEN_READWRITE|DATABASE_OPEN_CREATE);
   if(database==INVALID_HANDLE)
     {
      Print("database error ",GetLastError());
      return;
     }
   bool set=DatabaseExecute(database,"PRAGMA journal_mode="+Word("mode"));
   set=DatabaseExecute(database,"PRAGMA synchronous="+Word("synchronous")) && set;
   bool done=DatabaseExecute(database,"CREATE TABLE IF NOT EXISTS numbers(number INTEGER)");
   Print("database ",set," ",done," error ",GetLastError());
   ResetLastError();
   int count=(int)Number("count");
   for(int i=0; i<count && done; i++)
     {
      done=DatabaseExecute(database,"INSERT INTO numbers SELECT coalesce(max(number),0)+1 FROM numbers");
      if(done)
         Print("inserted");
     }
   Print("database done ",done," error ",GetLastError());
   DatabaseClose(database);
  }
//+------------------------------------------------------------------+
//| Send and read again and again                                    |
//+------------------------------------------------------------------+
void Many(const int times)
  {
   MqlTradeRequest request={};
   MqlTradeResult result={};
   Fill(request);
   int done=0;
   for(int i=0; i<times; i++)
     {
      if(OrderSend(request,result))
         done++;
     }
   Print("many ",done);
  }
//+------------------------------------------------------------------+
//| An order of the test                                             |
//+------------------------------------------------------------------+
void OnChartEvent(const int id,const long &lparam,const double &dparam,const string &sparam)
  {
   if(StringSplit(sparam,' ',g_words)<1)
      return;
   string command=g_words[0];
   ulong ticket=Number("ticket");
   bool selected=true;
   ResetLastError();
   if(command=="send")
      Send(false);
   if(command=="async")
      Send(true);
   if(command=="check")
      Check();
   if(command=="calculate")
      Calculate();
   if(command=="many")
      Many((int)Number("times"));
   if(command=="positions")
      Positions();
   if(command=="position")
      Position();
   if(command=="again")
     {
      PositionAgain();
      OrderAgain();
     }
   if(command=="select")
     {
      selected=PositionSelect(Word("symbol"));
      Print("select ",selected," error ",GetLastError());
     }
   if(command=="select_position")
     {
      selected=PositionSelectByTicket(ticket);
      Print("select ",selected," error ",GetLastError());
     }
   if(command=="position_at")
     {
      ulong found=PositionGetTicket((int)lparam);
      int error=GetLastError();
      ResetLastError();
      string symbol=PositionGetSymbol((int)lparam);
      Print("at ",found," error ",error," symbol ",symbol," error ",GetLastError());
     }
   if(command=="orders")
      Orders();
   if(command=="order")
      Order();
   if(command=="select_order")
     {
      selected=OrderSelect(ticket);
      Print("select ",selected," error ",GetLastError());
     }
   if(command=="order_at")
     {
      ulong found=OrderGetTicket((int)lparam);
      Print("at ",found," error ",GetLastError());
     }
   if(command=="history")
      selected=HistorySelect((datetime)Number("from"),(datetime)Number("to"));
   if(command=="history_all")
      selected=HistorySelect(0,(datetime)LONG_MAX);
   if(command=="history_position")
      selected=HistorySelectByPosition(ticket);
   if(command=="history_order")
      selected=HistoryOrderSelect(ticket);
   if(command=="history_deal")
      selected=HistoryDealSelect(ticket);
   if(StringFind(command,"history")==0)
      History(selected,GetLastError());
   if(command=="old_order")
      OldOrder(ticket);
   if(command=="old_deal")
      OldDeal(ticket);
   if(command=="old_at")
     {
      ulong order=HistoryOrderGetTicket((int)lparam);
      int error=GetLastError();
      ResetLastError();
      ulong deal=HistoryDealGetTicket((int)lparam);
      Print("old at ",order," error ",error," deal ",deal," error ",GetLastError());
     }
   if(command=="account")
      Account();
   if(command=="symbol")
      Conditions(Word("symbol"));
   if(command=="count")
      Print("transactions ",g_transactions," first ",g_first," last ",g_last);
   if(command=="sleep")
     {
      Sleep((int)lparam);
      Print("slept");
     }
   if(command=="database")
      Database();
  }
//+------------------------------------------------------------------+
