//+------------------------------------------------------------------+
//|                                                 RequestMaker.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// From what a NEW asks for to what OrderSend is given: checks, prices, filling, volumes.
//
// Nothing here sends or remembers anything. A request that cannot be meant is refused, with the
// reason and a sentence that begins with the field's name.
// Rule 1: what was not given is filled in from what the terminal sees just before sending: the price
// of a market order, side and volume of a position that is closed, the values that a modification
// keeps.
// Rule 2: what was given is never changed beyond the rounding of a double.
// May touch: positions and orders through CBroker, properties of symbols, the newest tick.
// What must change together: this file, RequestChecks.mqh, SymbolRules.mqh,
// bridge/sim/trading_request.py.

#ifndef BRIDGE_TRADE_REQUESTMAKER_MQH
#define BRIDGE_TRADE_REQUESTMAKER_MQH

#include <Bridge/Trade/BrokerAccess.mqh>
#include <Bridge/Trade/RequestChecks.mqh>

//+------------------------------------------------------------------+
//| Makes requests for one account                                   |
//+------------------------------------------------------------------+
class CRequestMaker
  {
private:
   CBroker          *m_broker;

public:
                     CRequestMaker(CBroker *broker) : m_broker(broker) { }
   bool              Hedging(void) const { return(m_broker.Hedging()); }
   // Every field by itself; false: refused.
   bool              Check(const SOrderRequest &request,const uint flags,SRefusal &refusal) const;
   // What is sent, as the market, positions and orders are now; false: refused.
   bool              Make(const SOrderRequest &request,const uint flags,const string tag,SDraft &draft,
                          SRefusal &refusal);
   bool              SymbolOf(const SOrderRequest &request,string &symbol,SRefusal &refusal);

private:
   bool              Deal(const SOrderRequest &request,const uint flags,const string tag,SDraft &draft,
                          SRefusal &refusal);
   bool              ToClose(const SOrderRequest &request,const uint flags,bool &closes,
                             SPositionRecord &position,SRefusal &refusal);
   bool              Pending(const SOrderRequest &request,const uint flags,const string tag,SDraft &draft,
                             SRefusal &refusal);
   bool              Sltp(const SOrderRequest &request,const uint flags,SDraft &draft,SRefusal &refusal);
   bool              Modify(const SOrderRequest &request,const uint flags,SDraft &draft,SRefusal &refusal);
   bool              CloseBy(const SOrderRequest &request,const string tag,SDraft &draft,SRefusal &refusal);
   bool              Position(const ulong ticket,bool &is_open,SPositionRecord &position,SRefusal &refusal);
   bool              Order(const ulong ticket,bool &is_open,SOrderRecord &order,SRefusal &refusal);
   static bool       Unseen(const string what,const ulong ticket,SRefusal &refusal);
   static bool       Rules(const string symbol,CSymbolRules &rules,SRefusal &refusal);
   static bool       Levels(const SOrderRequest &request,const uint flags,const CSymbolRules &rules,
                            const double base,const int loss,const double present_sl,
                            const double present_tp,MqlTradeRequest &sent,SRefusal &refusal);
   static bool       Level(const bool given,const double value,const bool in_points,
                           const CSymbolRules &rules,const double base,const int direction,
                           double &level,SRefusal &refusal);
   static double     Given(const bool given,const double value) { return(given && value>0.0 ? value : 0.0); }
   static ulong      GivenTicket(const bool given,const ulong value) { return(given ? value : 0); }
   static int        Loss(const bool is_buy) { return(is_buy ? -1 : 1); }
  };

bool CRequestMaker::Check(const SOrderRequest &request,const uint flags,SRefusal &refusal) const
  {
   return(CRequestChecks::Fields(request,flags,m_broker.Hedging(),refusal));
  }

bool CRequestMaker::Make(const SOrderRequest &request,const uint flags,const string tag,SDraft &draft,
                         SRefusal &refusal)
  {
   ZeroMemory(draft.request);
   draft.before_count=0;
   draft.request.action=(ENUM_TRADE_REQUEST_ACTIONS)request.action;
   switch(request.action)
     {
      case TRADE_ACTION_DEAL:
         return(Deal(request,flags,tag,draft,refusal));
      case TRADE_ACTION_PENDING:
         return(Pending(request,flags,tag,draft,refusal));
      case TRADE_ACTION_SLTP:
         return(Sltp(request,flags,draft,refusal));
      case TRADE_ACTION_MODIFY:
         return(Modify(request,flags,draft,refusal));
      case TRADE_ACTION_CLOSE_BY:
         return(CloseBy(request,tag,draft,refusal));
      case TRADE_ACTION_REMOVE:
         draft.request.order=GivenTicket(request.has_order,request.order);
         draft.request.magic=GivenTicket(request.has_magic,request.magic);
         return(true);
     }
   return(RefuseField(refusal,"action",
                      StringFormat("%u is no ENUM_TRADE_REQUEST_ACTIONS",request.action)));
  }

//+------------------------------------------------------------------+
//| Reading                                                          |
//+------------------------------------------------------------------+
// The open position of a ticket; false: refused, because it cannot be told.
bool CRequestMaker::Position(const ulong ticket,bool &is_open,SPositionRecord &position,SRefusal &refusal)
  {
   is_open=m_broker.Position(ticket,position);
   if(is_open || m_broker.LastError()==0)
      return(true);
   return(Refuse(refusal,(uint)DENY_OTHER,
                 StringFormat("the position %I64u cannot be read (error %d)",ticket,m_broker.LastError())));
  }

bool CRequestMaker::Order(const ulong ticket,bool &is_open,SOrderRecord &order,SRefusal &refusal)
  {
   is_open=m_broker.Order(ticket,order);
   if(is_open || m_broker.LastError()==0)
      return(true);
   return(Refuse(refusal,(uint)DENY_OTHER,
                 StringFormat("the order %I64u cannot be read (error %d)",ticket,m_broker.LastError())));
  }

// A value that is left out is sent as 0, and the trade server would take the old one away.
bool CRequestMaker::Unseen(const string what,const ulong ticket,SRefusal &refusal)
  {
   return(Refuse(refusal,(uint)DENY_OTHER,
                 StringFormat("the %s %I64u is not open, or cannot be seen yet: "
                              "what this request leaves out could not be kept",what,ticket)));
  }

bool CRequestMaker::Rules(const string symbol,CSymbolRules &rules,SRefusal &refusal)
  {
   string problem="";
   if(rules.Read(symbol,problem))
      return(true);
   return(Refuse(refusal,(uint)DENY_OTHER,problem));
  }

// The symbol that a request is about, "" when nothing of its tickets is open.
bool CRequestMaker::SymbolOf(const SOrderRequest &request,string &symbol,SRefusal &refusal)
  {
   symbol="";
   if(request.has_symbol && request.symbol!="")
     {
      symbol=request.symbol;
      return(true);
     }
   bool is_open=false;
   SPositionRecord position={};
   if(!Position(GivenTicket(request.has_position,request.position),is_open,position,refusal))
      return(false);
   if(is_open)
     {
      symbol=position.symbol;
      return(true);
     }
   SOrderRecord order={};
   if(!Order(GivenTicket(request.has_order,request.order),is_open,order,refusal))
      return(false);
   if(is_open)
      symbol=order.symbol;
   return(true);
  }

//+------------------------------------------------------------------+
//| Requests                                                         |
//+------------------------------------------------------------------+
bool CRequestMaker::Deal(const SOrderRequest &request,const uint flags,const string tag,SDraft &draft,
                         SRefusal &refusal)
  {
   string symbol="";
   if(request.has_symbol)
      symbol=request.symbol;
   bool has_type=request.has_type;
   uint type=request.type;
   bool has_volume=request.has_volume;
   double volume=request.volume;
   bool closes=false;
   SPositionRecord position={};
   if(!ToClose(request,flags,closes,position,refusal))
      return(false);
   if(closes)
     {
      if(symbol=="")
         symbol=position.symbol;
      uint opposite=(uint)ORDER_TYPE_BUY;
      if(position.type==(uint)POSITION_TYPE_BUY)
         opposite=(uint)ORDER_TYPE_SELL;
      if(!has_type)
         type=opposite;
      has_type=true;
      // What counts as a close must be one: limits and REDUCING have let it pass.
      if(type!=opposite && ReducesOnly(request,flags,m_broker.Hedging()))
         return(Refuse(refusal,(uint)DENY_NOTHING_TO_CLOSE,
                       "the position is on the side of this request"));
      if((flags & NEW_REDUCE_ONLY)!=0)
        {
         if(!has_volume || volume>position.volume)
            volume=position.volume;
         has_volume=true;
        }
     }
   if(!has_type || !has_volume || !CSymbolRules::Exists(symbol))
      return(Refuse(refusal,(uint)DENY_NOTHING_TO_CLOSE,"the position is not open"));
   CSymbolRules rules;
   if(!Rules(symbol,rules,refusal) || !CRequestChecks::Steps(rules,request,flags,refusal))
      return(false);
   const bool is_buy=(type==(uint)ORDER_TYPE_BUY);
   double price=Given(request.has_price,request.price);
   if(!(price>0.0))
      price=rules.Price(is_buy);
   draft.request.symbol=symbol;
   draft.request.type=(ENUM_ORDER_TYPE)type;
   draft.request.volume=rules.SteppedVolume(volume);
   draft.request.price=rules.RoundedPrice(price);
   draft.request.deviation=GivenTicket(request.has_deviation,request.deviation);
   draft.request.type_filling=rules.Filling();
   if(request.has_type_filling)
      draft.request.type_filling=(ENUM_ORDER_TYPE_FILLING)request.type_filling;
   draft.request.type_time=ORDER_TIME_GTC;
   if(request.has_type_time)
      draft.request.type_time=(ENUM_ORDER_TYPE_TIME)request.type_time;
   draft.request.comment=tag;
   draft.request.magic=GivenTicket(request.has_magic,request.magic);
   if(closes)
     {
      draft.request.position=position.ticket;
      if(!request.has_magic)
         draft.request.magic=position.magic;
     }
   return(Levels(request,flags,rules,price,Loss(is_buy),0.0,0.0,draft.request,refusal));
  }

// The position that a deal is about, read now; closes is false when it is about none.
bool CRequestMaker::ToClose(const SOrderRequest &request,const uint flags,bool &closes,
                            SPositionRecord &position,SRefusal &refusal)
  {
   closes=false;
   if(request.has_position && request.position!=0)
     {
      if(!Position(request.position,closes,position,refusal))
         return(false);
      if(closes && (!request.has_symbol || request.symbol=="" || request.symbol==position.symbol))
         return(true);
      return(Refuse(refusal,(uint)DENY_NOTHING_TO_CLOSE,
                    StringFormat("the position %I64u is not open",request.position)));
     }
   if((flags & NEW_REDUCE_ONLY)==0)
      return(true);
   // Netting: the symbol names its one position.
   SPositionRecord found[];
   if(!m_broker.PositionsOf(request.symbol,found))
      return(Refuse(refusal,(uint)DENY_OTHER,
                    StringFormat("the positions cannot be read (error %d)",m_broker.LastError())));
   if(ArraySize(found)==0)
      return(Refuse(refusal,(uint)DENY_NOTHING_TO_CLOSE,
                    PrintableText(request.symbol)+" has no open position"));
   position=found[0];
   closes=true;
   return(true);
  }

bool CRequestMaker::Pending(const SOrderRequest &request,const uint flags,const string tag,SDraft &draft,
                            SRefusal &refusal)
  {
   CSymbolRules rules;
   if(!Rules(request.symbol,rules,refusal))
      return(false);
   const double price=Given(request.has_price,request.price);
   const double stoplimit=Given(request.has_stoplimit,request.stoplimit);
   draft.request.magic=GivenTicket(request.has_magic,request.magic);
   draft.request.symbol=request.symbol;
   draft.request.volume=rules.SteppedVolume(request.volume);
   draft.request.price=rules.RoundedPrice(price);
   draft.request.stoplimit=rules.RoundedPrice(stoplimit);
   draft.request.deviation=GivenTicket(request.has_deviation,request.deviation);
   draft.request.type=(ENUM_ORDER_TYPE)request.type;
   draft.request.type_filling=ORDER_FILLING_RETURN;
   if(request.has_type_filling)
      draft.request.type_filling=(ENUM_ORDER_TYPE_FILLING)request.type_filling;
   draft.request.type_time=rules.Lifetime();
   if(request.has_type_time)
      draft.request.type_time=(ENUM_ORDER_TYPE_TIME)request.type_time;
   if(request.has_expiration)
      draft.request.expiration=(datetime)request.expiration;
   draft.request.comment=tag;
   // The stops of a stop-limit order are counted from where its limit order will be.
   const double base=(IsStopLimitType(request.type) ? stoplimit : price);
   return(Levels(request,flags,rules,base,Loss(IsBuyType(request.type)),0.0,0.0,draft.request,refusal));
  }

bool CRequestMaker::Sltp(const SOrderRequest &request,const uint flags,SDraft &draft,SRefusal &refusal)
  {
   bool is_open=false;
   SPositionRecord position={};
   if(!Position(request.position,is_open,position,refusal))
      return(false);
   draft.request.position=request.position;
   if(!is_open)
     {
      if(!request.has_sl || !request.has_tp || (flags & (NEW_SL_POINTS|NEW_TP_POINTS))!=0)
         return(Unseen("position",request.position,refusal));
      // The trade server is to say so.
      if(request.has_symbol)
         draft.request.symbol=request.symbol;
      draft.request.sl=Given(request.has_sl,request.sl);
      draft.request.tp=Given(request.has_tp,request.tp);
      return(true);
     }
   CSymbolRules rules;
   if(!Rules(position.symbol,rules,refusal) || !CRequestChecks::Steps(rules,request,flags,refusal))
      return(false);
   draft.request.magic=GivenTicket(request.has_magic,request.magic);
   draft.request.symbol=position.symbol;
   if(!draft.Before(position.sl) || !draft.Before(position.tp))
      return(Refuse(refusal,(uint)DENY_OTHER,"too many values"));
   const int loss=Loss(position.type==(uint)POSITION_TYPE_BUY);
   return(Levels(request,flags,rules,position.price_open,loss,position.sl,position.tp,draft.request,
                 refusal));
  }

bool CRequestMaker::Modify(const SOrderRequest &request,const uint flags,SDraft &draft,SRefusal &refusal)
  {
   bool is_open=false;
   SOrderRecord order={};
   if(!Order(request.order,is_open,order,refusal))
      return(false);
   if(!is_open)
      return(Unseen("order",request.order,refusal));
   draft.request.order=request.order;
   CSymbolRules rules;
   if(!Rules(order.symbol,rules,refusal) || !CRequestChecks::Steps(rules,request,flags,refusal))
      return(false);
   const double price=(request.has_price ? request.price : order.price_open);
   const double stoplimit=(request.has_stoplimit ? request.stoplimit : order.price_stoplimit);
   const uint type_time=(request.has_type_time ? request.type_time : order.type_time);
   long expiration=0;
   if(request.has_expiration)
      expiration=request.expiration;
   else
      if(IsSpecifiedTime(type_time))
         expiration=order.time_expiration;
   draft.request.magic=order.magic;
   draft.request.symbol=order.symbol;
   draft.request.price=rules.RoundedPrice(price);
   draft.request.stoplimit=rules.RoundedPrice(stoplimit);
   draft.request.type=(ENUM_ORDER_TYPE)order.type;
   draft.request.type_time=(ENUM_ORDER_TYPE_TIME)type_time;
   draft.request.expiration=(datetime)expiration;
   if(!draft.Before(order.price_open) || !draft.Before(order.price_stoplimit) || !draft.Before(order.sl)
      || !draft.Before(order.tp) || !draft.Before((double)order.type_time)
      || !draft.Before((double)order.time_expiration))
      return(Refuse(refusal,(uint)DENY_OTHER,"too many values"));
   const double base=(IsStopLimitType(order.type) ? stoplimit : price);
   return(Levels(request,flags,rules,base,Loss(IsBuyType(order.type)),order.sl,order.tp,draft.request,
                 refusal));
  }

bool CRequestMaker::CloseBy(const SOrderRequest &request,const string tag,SDraft &draft,SRefusal &refusal)
  {
   bool is_open=false;
   bool is_other_open=false;
   SPositionRecord position={};
   SPositionRecord other={};
   if(!Position(request.position,is_open,position,refusal)
      || !Position(request.position_by,is_other_open,other,refusal))
      return(false);
   draft.request.position=request.position;
   draft.request.position_by=request.position_by;
   draft.request.comment=tag;
   draft.request.magic=GivenTicket(request.has_magic,request.magic);
   if(is_open)
     {
      draft.request.symbol=position.symbol;
      if(!request.has_magic)
         draft.request.magic=position.magic;
     }
   if(!draft.Before(is_open ? position.volume : 0.0) || !draft.Before(is_other_open ? other.volume : 0.0))
      return(Refuse(refusal,(uint)DENY_OTHER,"too many values"));
   return(true);
  }

//+------------------------------------------------------------------+
//| Stop loss and take profit                                        |
//+------------------------------------------------------------------+
// loss: on which side of the price the order loses, -1 below, 1 above. What was not given stays.
bool CRequestMaker::Levels(const SOrderRequest &request,const uint flags,const CSymbolRules &rules,
                           const double base,const int loss,const double present_sl,
                           const double present_tp,MqlTradeRequest &sent,SRefusal &refusal)
  {
   sent.sl=present_sl;
   sent.tp=present_tp;
   return(Level(request.has_sl,request.sl,(flags & NEW_SL_POINTS)!=0,rules,base,loss,sent.sl,refusal)
          && Level(request.has_tp,request.tp,(flags & NEW_TP_POINTS)!=0,rules,base,-loss,sent.tp,refusal));
  }

bool CRequestMaker::Level(const bool given,const double value,const bool in_points,
                          const CSymbolRules &rules,const double base,const int direction,double &level,
                          SRefusal &refusal)
  {
   if(!given)
      return(true);
   if(!in_points || !(value>0.0))
     {
      level=rules.RoundedPrice(value);
      return(true);
     }
   if(!(base>0.0))
      return(Refuse(refusal,(uint)DENY_OTHER,
                    StringFormat("%s has no price to count %g points from",PrintableText(rules.Name()),value)));
   level=rules.RoundedPrice(base+direction*value*rules.Point());
   if(!(level>0.0))
      return(RefuseField(refusal,direction==-1 ? "sl" : "tp",
                         StringFormat("%g points lead below the price 0",value)));
   return(true);
  }

#endif // BRIDGE_TRADE_REQUESTMAKER_MQH
