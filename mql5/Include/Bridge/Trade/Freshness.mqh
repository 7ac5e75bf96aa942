//+------------------------------------------------------------------+
//|                                                    Freshness.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Whether the positions that a terminal sees have its own last deals in them.
//
// A netting account has one position a symbol, and closing is a deal against it: more than is open
// opens the reverse, whatever position the request names. What is open is read just before sending,
// and a terminal learns of its own deals a moment after their answers. A close is held back until
// then, and while positions or deals cannot be read; a change until our last one of the same order or
// position is seen.
// May touch: positions, orders and deals through CBroker.
// What must change together: this file, bridge/sim/trading_freshness.py.

#ifndef BRIDGE_TRADE_FRESHNESS_MQH
#define BRIDGE_TRADE_FRESHNESS_MQH

#include <Bridge/Trade/BrokerAccess.mqh>
#include <Bridge/Trade/Evidence.mqh>
#include <Bridge/Trade/OwnChanges.mqh>
#include <Bridge/Trade/Results.mqh>

//+------------------------------------------------------------------+
//| All that a deal changes of a position                            |
//+------------------------------------------------------------------+
struct SSeenPosition
  {
   string            symbol;
   ulong             ticket;           // 0: there was none
   double            volume;
   long              time_update_msc;
  };

//+------------------------------------------------------------------+
//| The last order of ours that traded in a symbol, and what the     |
//| position was when it was sent                                    |
//+------------------------------------------------------------------+
struct SOwnTrade
  {
   string            symbol;
   ulong             order;
   long              intent_msc;
   long              since_us;
   ulong             before_ticket;    // 0: there was none
   double            before_volume;
   long              before_update_msc;
  };

//+------------------------------------------------------------------+
//| Looks after the symbols of one account                           |
//+------------------------------------------------------------------+
class CFreshness
  {
private:
   CBroker          *m_broker;
   CEvidenceFinder  *m_finder;
   SOwnTrade         m_last[];
   SSeenPosition     m_before[];
   COwnChanges       m_changes;

   int               PlaceOf(const string symbol) const;
   void              Remove(const int place);
   bool              IsStale(const SPositionRecord &position,const long now_us);

public:
                     CFreshness(CBroker *broker,CEvidenceFinder *finder) : m_broker(broker),m_finder(finder),m_changes(broker) { }
   // Another account, or another life of it.
   void              Begin(void);
   // A command is about to be sent.
   void              Sends(void);
   // Note what a command of ours came to.
   void              Traded(const SLedgerEntry &entry,const SResult &result,const long now_us);
   // Whether a NEW closes or changes something, and what there is cannot be told yet.
   bool              Holds(const SNew &order,const long now_us);
  };

void CFreshness::Begin(void)
  {
   ArrayFree(m_last);
   ArrayFree(m_before);
   m_changes.Begin();
  }

void CFreshness::Sends(void)
  {
   SPositionRecord positions[];
   ArrayFree(m_before);
   if(m_broker.Hedging() || !m_broker.Positions(positions))
      return;
   const int total=ArraySize(positions);
   if(ArrayResize(m_before,total)!=total)
      return;
   for(int i=0; i<total; i++)
     {
      m_before[i].symbol=positions[i].symbol;
      m_before[i].ticket=positions[i].ticket;
      m_before[i].volume=positions[i].volume;
      m_before[i].time_update_msc=positions[i].time_update_msc;
     }
  }

void CFreshness::Traded(const SLedgerEntry &entry,const SResult &result,const long now_us)
  {
   m_changes.Changed(entry,result,now_us);
   if(!IsExecuted(result.outcome) || entry.sent.action!=TRADE_ACTION_DEAL || m_broker.Hedging())
      return;
   int place=PlaceOf(entry.sent.symbol);
   if(place<0)
     {
      place=ArraySize(m_last);
      if(ArrayResize(m_last,place+1,16)!=place+1)
         return;
     }
   m_last[place].symbol=entry.sent.symbol;
   m_last[place].order=result.order;
   m_last[place].intent_msc=entry.intent_msc;
   m_last[place].since_us=now_us;
   m_last[place].before_ticket=0;
   m_last[place].before_volume=0.0;
   m_last[place].before_update_msc=0;
   for(int i=0; i<ArraySize(m_before); i++)
     {
      if(m_before[i].symbol!=entry.sent.symbol)
         continue;
      m_last[place].before_ticket=m_before[i].ticket;
      m_last[place].before_volume=m_before[i].volume;
      m_last[place].before_update_msc=m_before[i].time_update_msc;
     }
  }

bool CFreshness::Holds(const SNew &order,const long now_us)
  {
   if(m_changes.Holds(order.request,now_us))
      return(true);
   const bool closes=((order.flags&(uint)NEW_REDUCE_ONLY)!=0 && order.request.action==(uint)TRADE_ACTION_DEAL);
   if(!closes || ArraySize(m_last)==0)
      return(false);
   SPositionRecord positions[];
   string symbol="";
   if(order.request.has_symbol)
      symbol=order.request.symbol;
   if(!m_broker.PositionsOf(symbol,positions))
      return(true);
   const bool named=(order.request.has_position && order.request.position!=0);
   for(int i=0; i<ArraySize(positions); i++)
     {
      if(named && positions[i].ticket!=order.request.position)
         continue;
      if(IsStale(positions[i],now_us))
         return(true);
     }
   return(false);
  }

// Whether a position does not show the deals of our last order yet. One that shows nothing of them
// for long is taken as it is: somebody else's deals, or a server that does not tell when it changed.
bool CFreshness::IsStale(const SPositionRecord &position,const long now_us)
  {
   const int place=PlaceOf(position.symbol);
   if(place<0)
      return(false);
   if(now_us-m_last[place].since_us>=FRESHNESS_HELD_MAX_US)
     {
      Remove(place);
      return(false);
     }
   if(m_last[place].before_ticket==position.ticket && m_last[place].before_update_msc==position.time_update_msc &&
      IsNear(m_last[place].before_volume,position.volume))
      return(true);
   SDealRecord deals[];
   if(!m_finder.DealsOf(m_last[place].order,m_last[place].intent_msc,deals))
      return(true);
   const int total=ArraySize(deals);
   return(total==0 || position.time_update_msc<deals[total-1].time_msc);
  }

int CFreshness::PlaceOf(const string symbol) const
  {
   for(int i=0; i<ArraySize(m_last); i++)
      if(m_last[i].symbol==symbol)
         return(i);
   return(-1);
  }

void CFreshness::Remove(const int place)
  {
   const int total=ArraySize(m_last);
   for(int i=place; i<total-1; i++)
      m_last[i]=m_last[i+1];
   if(ArrayResize(m_last,total-1)!=total-1)
      ArrayFree(m_last);
  }

#endif // BRIDGE_TRADE_FRESHNESS_MQH
