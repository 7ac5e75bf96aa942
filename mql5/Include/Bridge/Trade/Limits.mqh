//+------------------------------------------------------------------+
//|                                                       Limits.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The terminal's own limits, which no message can raise: they come from the program's inputs alone.
//
// 0 and empty are none. Symbols, volume, positions and rate do not keep anything from being closed
// or cancelled.
// May touch: positions and orders through CBroker and CRequestMaker, the ledger.
// What must change together: this file, TradingLimits and _check_limits in
// bridge/sim/trading_executor.py.

#ifndef BRIDGE_TRADE_LIMITS_MQH
#define BRIDGE_TRADE_LIMITS_MQH

#include <Bridge/Trade/Commands.mqh>
#include <Bridge/Trade/RequestMaker.mqh>

//+------------------------------------------------------------------+
//| The limits                                                       |
//+------------------------------------------------------------------+
class CTradingLimits
  {
private:
   string            m_symbols[];
   bool              m_all_symbols;

public:
   bool              read_only;
   bool              demo_only;
   double            max_volume;        // lots of one order
   int               max_positions;     // open ones
   int               max_per_minute;    // orders that were sent

                     CTradingLimits(void);
   // The names that may be traded, separated by commas; "" for all.
   void              Symbols(const string names);
   bool              AllowsSymbol(const string symbol) const;
   // Whether a command may pass; false: refused.
   bool              Check(const SOrderRequest &request,const uint flags,const SMoment &moment,CBroker *broker,
                           CCommands *commands,CRequestMaker *maker,SRefusal &refusal) const;
  };

CTradingLimits::CTradingLimits(void) : m_all_symbols(true),
                                       read_only(false),
                                       demo_only(false),
                                       max_volume(0.0),
                                       max_positions(0),
                                       max_per_minute(0)
  {
  }

// What is written and names no symbol allows none: a slip must not open everything.
void CTradingLimits::Symbols(const string names)
  {
   string parts[];
   string list=names;
   StringTrimLeft(list);
   StringTrimRight(list);
   ArrayFree(m_symbols);
   m_all_symbols=(list=="");
   if(m_all_symbols)
      return;
   const int count=StringSplit(list,',',parts);
   for(int i=0; i<count; i++)
     {
      string name=parts[i];
      StringTrimLeft(name);
      StringTrimRight(name);
      const int total=ArraySize(m_symbols);
      if(name!="" && ArrayResize(m_symbols,total+1,16)==total+1)
         m_symbols[total]=name;
     }
  }

bool CTradingLimits::AllowsSymbol(const string symbol) const
  {
   for(int i=0; i<ArraySize(m_symbols); i++)
      if(m_symbols[i]==symbol)
         return(true);
   return(m_all_symbols);
  }

bool CTradingLimits::Check(const SOrderRequest &request,const uint flags,const SMoment &moment,CBroker *broker,
                           CCommands *commands,CRequestMaker *maker,SRefusal &refusal) const
  {
   if(read_only)
      return(Refuse(refusal,(uint)DENY_READ_ONLY,"the program is set to read only"));
   if(demo_only && !broker.IsDemo())
      return(Refuse(refusal,(uint)DENY_DEMO_ONLY,"the program is set to trade demo accounts only"));
   if(ReducesOnly(request,flags,broker.Hedging()))
      return(true);
   if(!m_all_symbols)
     {
      string symbol="";
      if(!maker.SymbolOf(request,symbol,refusal))
         return(false);
      if(!AllowsSymbol(symbol))
        {
         const string name=(symbol!="" ? PrintableText(symbol) : "an unknown one");
         return(Refuse(refusal,(uint)DENY_SYMBOL_NOT_ALLOWED,"symbol: "+name+" is not on the program's list"));
        }
     }
   if(max_volume>0.0 && request.has_volume && request.volume>max_volume)
      return(Refuse(refusal,(uint)DENY_VOLUME_LIMIT,
                    StringFormat("volume: %g is above the program's %g",request.volume,max_volume)));
   if(max_per_minute>0)
     {
      long sent=0;
      if(!commands.Ledger().CountSince(moment.server_msc-DESK_MINUTE_MSC,sent))
         return(Refuse(refusal,(uint)DENY_NOT_DURABLE,commands.Ledger().Problem()));
      if(sent>=max_per_minute)
         return(Refuse(refusal,(uint)DENY_RATE_LIMIT,
                       StringFormat("%I64d orders were sent in the last minute",sent)));
     }
   const bool opens=(request.action==(uint)TRADE_ACTION_DEAL || request.action==(uint)TRADE_ACTION_PENDING);
   if(max_positions>0 && opens)
     {
      const int count=broker.CountPositions();
      if(count<0 || count>=max_positions)
         return(Refuse(refusal,(uint)DENY_POSITION_LIMIT,StringFormat("%d positions are open",count)));
     }
   return(true);
  }

#endif // BRIDGE_TRADE_LIMITS_MQH
