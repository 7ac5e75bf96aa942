//+------------------------------------------------------------------+
//|                                                   OwnChanges.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Whether a terminal sees its own last change of an order or of a position.
//
// It learns of it a moment after the answer. What the next request for the same one leaves out is
// filled in from what is seen, so it would put back what the first one has just changed; and if its
// answer were lost, nobody could tell it from the first one. It is held back until the first one is
// seen, and while there is something to wait for that cannot be read.
// May touch: positions and orders through CBroker.
// What must change together: this file, bridge/sim/trading_changes.py.

#ifndef BRIDGE_TRADE_OWNCHANGES_MQH
#define BRIDGE_TRADE_OWNCHANGES_MQH

#include <Bridge/Trade/BrokerAccess.mqh>
#include <Bridge/Trade/Comparison.mqh>
#include <Bridge/Trade/Results.mqh>

//+------------------------------------------------------------------+
//| The last change of ours, and what was there before it            |
//+------------------------------------------------------------------+
struct SOwnChange
  {
   uint              action;           // SLTP: of a position; MODIFY: of an order
   ulong             ticket;
   double            before[TRADE_BEFORE_MAX];
   int               count;
   long              since_us;
  };

//+------------------------------------------------------------------+
//| The last changes of ours, of one account                         |
//+------------------------------------------------------------------+
class COwnChanges
  {
private:
   CBroker          *m_broker;
   SOwnChange        m_last[];

   int               PlaceOf(const uint action,const ulong ticket) const;
   void              Remove(const int place);
   void              RemoveOld(const long now_us);
   bool              IsUnseen(const SOwnChange &last);

public:
                     COwnChanges(CBroker *broker) : m_broker(broker) { }
   // Another account, or another life of it.
   void              Begin(void) { ArrayFree(m_last); }
   // Note what a command of ours came to.
   void              Changed(const SLedgerEntry &entry,const SResult &result,const long now_us);
   // Whether a request changes what does not show our last change yet.
   bool              Holds(const SOrderRequest &request,const long now_us);
  };

void COwnChanges::Changed(const SLedgerEntry &entry,const SResult &result,const long now_us)
  {
   SWanted asked;
   AskedBySent(entry.sent,asked);
   if(!IsExecuted(result.outcome) || asked.count==0 || asked.count!=entry.before_count)
      return;
   bool changes=false;
   for(int i=0; i<asked.count; i++)
      if(!IsNear(asked.values[i],entry.before[i]))
         changes=true;
   if(!changes)
      return;
   RemoveOld(now_us);
   const uint action=(uint)entry.sent.action;
   const ulong ticket=(entry.sent.action==TRADE_ACTION_SLTP ? entry.sent.position : entry.sent.order);
   int place=PlaceOf(action,ticket);
   if(place<0)
     {
      place=ArraySize(m_last);
      if(ArrayResize(m_last,place+1,16)!=place+1)
         return;
     }
   m_last[place].action=action;
   m_last[place].ticket=ticket;
   m_last[place].count=asked.count;
   m_last[place].since_us=now_us;
   for(int i=0; i<asked.count; i++)
      m_last[place].before[i]=entry.before[i];
  }

bool COwnChanges::Holds(const SOrderRequest &request,const long now_us)
  {
   ulong ticket=0;
   if(request.action==(uint)TRADE_ACTION_SLTP && request.has_position)
      ticket=request.position;
   if(request.action==(uint)TRADE_ACTION_MODIFY && request.has_order)
      ticket=request.order;
   const int place=PlaceOf(request.action,ticket);
   if(place<0)
      return(false);
   if(now_us-m_last[place].since_us<FRESHNESS_HELD_MAX_US && IsUnseen(m_last[place]))
      return(true);
   Remove(place);
   return(false);
  }

// Whether what is seen is what was there before the change.
bool COwnChanges::IsUnseen(const SOwnChange &last)
  {
   double seen[TRADE_BEFORE_MAX];
   ArrayInitialize(seen,0.0);
   if(last.action==(uint)TRADE_ACTION_SLTP)
     {
      SPositionRecord position={};
      if(!m_broker.Position(last.ticket,position))
         return(m_broker.LastError()!=0);
      if(!LevelsOf(position,seen))
         return(false);
     }
   else
     {
      SOrderRecord order={};
      if(!m_broker.Order(last.ticket,order))
         return(m_broker.LastError()!=0);
      if(!ValuesOf(order,seen))
         return(false);
     }
   for(int i=0; i<last.count; i++)
      if(!IsNear(seen[i],last.before[i]))
         return(false);
   return(true);
  }

int COwnChanges::PlaceOf(const uint action,const ulong ticket) const
  {
   for(int i=0; i<ArraySize(m_last); i++)
      if(m_last[i].action==action && m_last[i].ticket==ticket)
         return(i);
   return(-1);
  }

void COwnChanges::Remove(const int place)
  {
   const int total=ArraySize(m_last);
   for(int i=place; i<total-1; i++)
      m_last[i]=m_last[i+1];
   if(ArrayResize(m_last,total-1)!=total-1)
      ArrayFree(m_last);
  }

void COwnChanges::RemoveOld(const long now_us)
  {
   for(int i=ArraySize(m_last)-1; i>=0; i--)
      if(now_us-m_last[i].since_us>=FRESHNESS_HELD_MAX_US)
         Remove(i);
  }

#endif // BRIDGE_TRADE_OWNCHANGES_MQH
