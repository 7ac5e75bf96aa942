//+------------------------------------------------------------------+
//|                                                   Comparison.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Numbers that are compared with those at the broker: what was asked, what is there now.
// May touch: nothing.
// What must change together: this file, bridge/sim/trading_changes.py, _comparable in
// bridge/sim/trading.py.

#ifndef BRIDGE_TRADE_COMPARISON_MQH
#define BRIDGE_TRADE_COMPARISON_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Wire/Spec.mqh>
#include <Bridge/Trade/Structures.mqh>

//--- bits of a quiet NaN
#define COMPARISON_NAN_BITS 0x7FF8000000000000

//+------------------------------------------------------------------+
//| Values that are compared                                         |
//+------------------------------------------------------------------+
struct SWanted
  {
   double            values[TRADE_BEFORE_MAX];
   bool              given[TRADE_BEFORE_MAX];   // false: this one is not looked at
   int               count;
                     SWanted(void);
   void              Add(const bool is_given,const double value);
  };

SWanted::SWanted(void) : count(0)
  {
   ArrayInitialize(values,0.0);
   ArrayInitialize(given,false);
  }

void SWanted::Add(const bool is_given,const double value)
  {
   if(count>=TRADE_BEFORE_MAX)
      return;
   given[count]=is_given;
   values[count]=value;
   count++;
  }

// What SLTP changes of a position, and MODIFY of an order; false: there is no room.
bool LevelsOf(const SPositionRecord &position,double &values[])
  {
   if(ArraySize(values)<2)
      return(false);
   values[0]=position.sl;
   values[1]=position.tp;
   return(true);
  }

bool ValuesOf(const SOrderRecord &order,double &values[])
  {
   if(ArraySize(values)<TRADE_BEFORE_MAX)
      return(false);
   values[0]=order.price_open;
   values[1]=order.price_stoplimit;
   values[2]=order.sl;
   values[3]=order.tp;
   values[4]=(double)order.type_time;
   values[5]=(double)order.time_expiration;
   return(true);
  }

// What a modification that was sent asks for, in the same order; nothing of another action.
void AskedBySent(const MqlTradeRequest &sent,SWanted &wanted)
  {
   if(sent.action==TRADE_ACTION_SLTP)
     {
      wanted.Add(true,sent.sl);
      wanted.Add(true,sent.tp);
     }
   if(sent.action==TRADE_ACTION_MODIFY)
     {
      wanted.Add(true,sent.price);
      wanted.Add(true,sent.stoplimit);
      wanted.Add(true,sent.sl);
      wanted.Add(true,sent.tp);
      wanted.Add(true,(double)(int)sent.type_time);
      wanted.Add(true,(double)(long)sent.expiration);
     }
  }

// A level in points cannot be compared with one at the broker: it equals nothing.
void MakeComparable(SOrderRequest &request,const uint flags)
  {
   if((flags&(uint)NEW_SL_POINTS)!=0)
     {
      request.has_sl=true;
      request.sl=BitsToDouble(COMPARISON_NAN_BITS);
     }
   if((flags&(uint)NEW_TP_POINTS)!=0)
     {
      request.has_tp=true;
      request.tp=BitsToDouble(COMPARISON_NAN_BITS);
     }
  }

// Whether two numbers are the same but for noise; NaN is like nothing.
bool IsNear(const double one,const double other)
  {
   return(IsFinite(one) && IsFinite(other) && MathAbs(one-other)<TRACES_TINY);
  }

#endif // BRIDGE_TRADE_COMPARISON_MQH
