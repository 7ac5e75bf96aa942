//+------------------------------------------------------------------+
//|                                                    one_order.mq5 |
//| Buys once as soon as there is a price, and tells what is open.   |
//+------------------------------------------------------------------+
#property version     "1.00"
#property description "Buys once."
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void OnStart()
  {
   MqlTick tick={};
   while(!SymbolInfoTick(_Symbol,tick) && !IsStopped())
      Sleep(10);
   MqlTradeRequest request={};
   MqlTradeResult result={};
   request.action=TRADE_ACTION_DEAL;
   request.symbol=_Symbol;
   request.volume=0.01;
   request.type=ORDER_TYPE_BUY;
   bool sent=OrderSend(request,result);
   Print("sent ",sent," retcode ",result.retcode," positions ",PositionsTotal());
  }
//+------------------------------------------------------------------+
