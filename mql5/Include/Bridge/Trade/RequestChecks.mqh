//+------------------------------------------------------------------+
//|                                                RequestChecks.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What can be told of a NEW's request without looking at the market: a field that cannot be meant.
//
// Every check returns true when nothing is against the request, else the refusal says why: its text
// begins with the field's name.
// May touch: properties of symbols and of the account.
// What must change together: this file, bridge/sim/trading_request.py.

#ifndef BRIDGE_TRADE_REQUESTCHECKS_MQH
#define BRIDGE_TRADE_REQUESTCHECKS_MQH

#include <Bridge/Trade/SymbolRules.mqh>

//--- characters of a refusal that has a name from outside in it
#define REFUSAL_TEXT_MAX    150

// Refuse; always false.
bool Refuse(SRefusal &refusal,const uint reason,const string text)
  {
   refusal.reason=reason;
   refusal.text=StringSubstr(text,0,REFUSAL_TEXT_MAX);
   return(false);
  }

bool RefuseField(SRefusal &refusal,const string field,const string problem)
  {
   return(Refuse(refusal,(uint)DENY_INVALID,field+": "+problem));
  }

bool IsMarketType(const uint type)
  {
   return(type==(uint)ORDER_TYPE_BUY || type==(uint)ORDER_TYPE_SELL);
  }

bool IsStopLimitType(const uint type)
  {
   return(type==(uint)ORDER_TYPE_BUY_STOP_LIMIT || type==(uint)ORDER_TYPE_SELL_STOP_LIMIT);
  }

bool IsBuyType(const uint type)
  {
   return(type==(uint)ORDER_TYPE_BUY || type==(uint)ORDER_TYPE_BUY_LIMIT || type==(uint)ORDER_TYPE_BUY_STOP
          || type==(uint)ORDER_TYPE_BUY_STOP_LIMIT);
  }

bool IsPendingType(const uint type)
  {
   return(type>=(uint)ORDER_TYPE_BUY_LIMIT && type<=(uint)ORDER_TYPE_SELL_STOP_LIMIT);
  }

// Whether a lifetime ends at an expiration.
bool IsSpecifiedTime(const uint type_time)
  {
   return(type_time==(uint)ORDER_TIME_SPECIFIED || type_time==(uint)ORDER_TIME_SPECIFIED_DAY);
  }

// Whether a request can only close or cancel: what REDUCING lets pass besides changes. With a
// hedging account a deal of a position cannot be larger than the position.
bool ReducesOnly(const SOrderRequest &request,const uint flags,const bool hedging)
  {
   if(request.action==(uint)TRADE_ACTION_REMOVE || request.action==(uint)TRADE_ACTION_CLOSE_BY)
      return(true);
   if(request.action!=(uint)TRADE_ACTION_DEAL)
      return(false);
   return((flags & NEW_REDUCE_ONLY)!=0 || (hedging && request.has_position && request.position!=0));
  }

//+------------------------------------------------------------------+
//| The checks                                                       |
//+------------------------------------------------------------------+
class CRequestChecks
  {
public:
   // Every field by itself.
   static bool       Fields(const SOrderRequest &request,const uint flags,const bool hedging,SRefusal &refusal);
   // Prices and volumes that were given are sent as they are, or not at all.
   static bool       Steps(const CSymbolRules &rules,const SOrderRequest &request,const uint flags,
                           SRefusal &refusal);

private:
   static bool       Needed(const SOrderRequest &request,SRefusal &refusal);
   static bool       Numbers(const SOrderRequest &request,const uint flags,SRefusal &refusal);
   static bool       Kinds(const SOrderRequest &request,SRefusal &refusal);
   static bool       Deal(const SOrderRequest &request,const uint flags,const bool hedging,SRefusal &refusal);
   static bool       Number(const bool given,const double value,const string field,SRefusal &refusal);
   static bool       Kind(const bool given,const uint value,const uint last,const string field,
                          SRefusal &refusal);
   static bool       Step(const bool given,const double value,const double step,const string field,
                          SRefusal &refusal);
  };

bool CRequestChecks::Fields(const SOrderRequest &request,const uint flags,const bool hedging,
                            SRefusal &refusal)
  {
   if((flags & ~(uint)REQUEST_KNOWN_FLAGS)!=0)
      return(RefuseField(refusal,"flags",
                         StringFormat("0x%x has a bit that this terminal does not know",flags)));
   if(!Needed(request,refusal) || !Numbers(request,flags,refusal) || !Kinds(request,refusal))
      return(false);
   const bool has_symbol=(request.has_symbol && request.symbol!="");
   if(has_symbol && !CSymbolRules::Exists(request.symbol))
      return(RefuseField(refusal,"symbol",
                         "the terminal has no symbol '"+PrintableText(request.symbol)+"'"));
   const bool is_deal=(request.action==(uint)TRADE_ACTION_DEAL);
   const bool is_pending=(request.action==(uint)TRADE_ACTION_PENDING);
   if(is_deal && !Deal(request,flags,hedging,refusal))
      return(false);
   if(is_pending && (flags & NEW_REDUCE_ONLY)!=0)
      return(RefuseField(refusal,"flags","a pending order cannot be reduce-only"));
   if(!has_symbol || !(is_deal || is_pending))
      return(true);
   CSymbolRules rules;
   string problem="";
   if(!rules.Read(request.symbol,problem))
      return(RefuseField(refusal,"symbol",problem));
   return(Steps(rules,request,flags,refusal));
  }

// What an action cannot do without; a deal of a position is filled in from it.
bool CRequestChecks::Needed(const SOrderRequest &request,SRefusal &refusal)
  {
   const bool has_position=(request.has_position && request.position!=0);
   const bool has_order=(request.has_order && request.order!=0);
   string missing="";
   switch(request.action)
     {
      case TRADE_ACTION_DEAL:
         break;
      case TRADE_ACTION_PENDING:
         if(!request.has_symbol || request.symbol=="")
            missing="symbol";
         else
            if(!request.has_volume || request.volume==0.0)
               missing="volume";
            else
               if(!request.has_price || request.price==0.0)
                  missing="price";
               else
                  if(!request.has_type || request.type==0)
                     missing="type";
         break;
      case TRADE_ACTION_SLTP:
         if(!has_position)
            missing="position";
         break;
      case TRADE_ACTION_MODIFY:
      case TRADE_ACTION_REMOVE:
         if(!has_order)
            missing="order";
         break;
      case TRADE_ACTION_CLOSE_BY:
         if(!has_position)
            missing="position";
         else
            if(!request.has_position_by || request.position_by==0)
               missing="position_by";
         break;
      default:
         return(RefuseField(refusal,"action",
                            StringFormat("%u is no ENUM_TRADE_REQUEST_ACTIONS",request.action)));
     }
   if(missing!="")
      return(RefuseField(refusal,missing,"is needed for this action"));
   return(true);
  }

bool CRequestChecks::Number(const bool given,const double value,const string field,SRefusal &refusal)
  {
   if(!given || (value>=0.0 && value<=REQUEST_NUMBER_MAX))
      return(true);
   return(RefuseField(refusal,field,
                      StringFormat("%s is no number from 0 to %g",ShortestText(value),REQUEST_NUMBER_MAX)));
  }

bool CRequestChecks::Numbers(const SOrderRequest &request,const uint flags,SRefusal &refusal)
  {
   if(!Number(request.has_volume,request.volume,"volume",refusal)
      || !Number(request.has_price,request.price,"price",refusal)
      || !Number(request.has_stoplimit,request.stoplimit,"stoplimit",refusal)
      || !Number(request.has_sl,request.sl,"sl",refusal) || !Number(request.has_tp,request.tp,"tp",refusal))
      return(false);
   const string points="is missing, and the flags say that it is in points";
   if((flags & NEW_SL_POINTS)!=0 && !request.has_sl)
      return(RefuseField(refusal,"sl",points));
   if((flags & NEW_TP_POINTS)!=0 && !request.has_tp)
      return(RefuseField(refusal,"tp",points));
   if(request.has_volume && !(request.volume>0.0))
      return(RefuseField(refusal,"volume","0 lots"));
   if(request.has_expiration && request.expiration<0)
      return(RefuseField(refusal,"expiration",StringFormat("%I64d is before 1970",request.expiration)));
   return(true);
  }

bool CRequestChecks::Kind(const bool given,const uint value,const uint last,const string field,
                          SRefusal &refusal)
  {
   if(!given || value<=last)
      return(true);
   return(RefuseField(refusal,field,StringFormat("%u is not known",value)));
  }

bool CRequestChecks::Kinds(const SOrderRequest &request,SRefusal &refusal)
  {
   if(!Kind(request.has_type,request.type,(uint)ORDER_TYPE_CLOSE_BY,"type",refusal)
      || !Kind(request.has_type_filling,request.type_filling,(uint)ORDER_FILLING_BOC,"type_filling",refusal)
      || !Kind(request.has_type_time,request.type_time,(uint)ORDER_TIME_SPECIFIED_DAY,"type_time",refusal))
      return(false);
   if(request.action==(uint)TRADE_ACTION_PENDING)
     {
      if(!IsPendingType(request.type))
         return(RefuseField(refusal,"type","is no pending order's"));
      if(IsStopLimitType(request.type) && !(request.has_stoplimit && request.stoplimit>0.0))
         return(RefuseField(refusal,"stoplimit","is needed for stop-limit orders"));
     }
   if(request.has_type_time && IsSpecifiedTime(request.type_time)
      && !(request.has_expiration && request.expiration!=0))
      return(RefuseField(refusal,"expiration","is needed with this type_time"));
   return(true);
  }

bool CRequestChecks::Deal(const SOrderRequest &request,const uint flags,const bool hedging,
                          SRefusal &refusal)
  {
   if(request.has_type && !IsMarketType(request.type))
      return(RefuseField(refusal,"type","must be BUY or SELL"));
   const bool closes=(request.has_position && request.position!=0);
   const bool has_symbol=(request.has_symbol && request.symbol!="");
   if((flags & NEW_REDUCE_ONLY)!=0)
     {
      if(!closes && hedging)
         return(RefuseField(refusal,"position","is needed to close with a hedging account"));
      if(!closes && !has_symbol)
         return(RefuseField(refusal,"symbol","is needed, or the position"));
      return(true);
     }
   if(!closes && !has_symbol)
      return(RefuseField(refusal,"symbol","is needed for this action"));
   if(!closes && !request.has_type)
      return(RefuseField(refusal,"type","is needed for this action"));
   if(!request.has_volume)
      return(RefuseField(refusal,"volume","is needed for this action"));
   return(true);
  }

bool CRequestChecks::Step(const bool given,const double value,const double step,const string field,
                          SRefusal &refusal)
  {
   if(!given || FitsStep(value,step))
      return(true);
   return(RefuseField(refusal,field,StringFormat("%s is no multiple of %g",ShortestText(value),step)));
  }

bool CRequestChecks::Steps(const CSymbolRules &rules,const SOrderRequest &request,const uint flags,
                           SRefusal &refusal)
  {
   if(request.has_volume && (flags & NEW_REDUCE_ONLY)==0)
     {
      if(request.volume<rules.VolumeMin()*(1.0-1e-9))
         return(RefuseField(refusal,"volume",
                            StringFormat("%g is below the least, %g",request.volume,rules.VolumeMin())));
      if(request.volume>rules.VolumeMax()*(1.0+1e-9))
         return(RefuseField(refusal,"volume",
                            StringFormat("%g is above the most, %g",request.volume,rules.VolumeMax())));
     }
   const bool sl_is_price=(request.has_sl && (flags & NEW_SL_POINTS)==0);
   const bool tp_is_price=(request.has_tp && (flags & NEW_TP_POINTS)==0);
   const double tick_size=rules.TickSize();
   return(Step(request.has_volume,request.volume,rules.VolumeStep(),"volume",refusal)
          && Step(request.has_price,request.price,tick_size,"price",refusal)
          && Step(request.has_stoplimit,request.stoplimit,tick_size,"stoplimit",refusal)
          && Step(sl_is_price,request.sl,tick_size,"sl",refusal)
          && Step(tp_is_price,request.tp,tick_size,"tp",refusal));
  }

#endif // BRIDGE_TRADE_REQUESTCHECKS_MQH
