//+------------------------------------------------------------------+
//|                                                    collector.mq5 |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The EA's tick collector, driven by test_ea_collector.py as bridge/sim/collector.py is by its
// own tests. A chart event is a call: its id says which; what it gave is printed.

#property copyright   "mt5-zmq-bridge contributors, MIT licence"
#property version     "1.00"
#property description "Obeys the tests of the tick collector."

#include <Bridge/Market/TickCollector.mqh>

enum ENUM_ORDER_OF_TEST
  {
   CALL_NEW=1,
   CALL_BEGIN,
   CALL_END,
   CALL_REWIND,
   CALL_ACKNOWLEDGED,
   CALL_POLL,
   CALL_TAKE,
   CALL_OUTAGE_BEGAN,
   CALL_OUTAGE_ENDED,
   CALL_OFFSET,
   CALL_WANTS_BLOCKING
  };

#define LINE_MAX 4000

CTickCollector *g_collector=NULL;
CClock          g_clock;

void Say(const uchar &bytes[],const int size)
  {
   const string text=BytesToHex(bytes,0,size);
   for(int at=0; at<StringLen(text); at+=LINE_MAX)
      Print("+",StringSubstr(text,at,LINE_MAX));
   Print("=");
  }

void Begin(const long now_us,const double time_current_msc,const string text)
  {
   uchar body[];
   string problem="";
   SSubscribe subscribe={};
   SStream stream={};
   SGap gap={};
   if(HexToBytes(text,body)<0 || !subscribe.Unpack(body,problem))
     {
      Print("! ",problem);
      return;
     }
   const bool has_gap=g_collector.Begin(subscribe,now_us,(long)time_current_msc,stream,gap);
   if(!stream.Pack(body,problem))
      Print("! ",problem);
   Say(body,ArraySize(body));
   if(!has_gap)
      return;
   if(!gap.Pack(body,problem))
      Print("! ",problem);
   Say(body,ArraySize(body));
  }

int OnInit(void)
  {
   return(INIT_SUCCEEDED);
  }

void OnDeinit(const int reason)
  {
   if(CheckPointer(g_collector)!=POINTER_INVALID)
      delete g_collector;
  }

void OnChartEvent(const int id,const long &lparam,const double &dparam,const string &sparam)
  {
   CByteBuffer body;
   bool wants_blocking=false;
   switch(id)
     {
      case CALL_NEW:
         if(CheckPointer(g_collector)!=POINTER_INVALID)
            delete g_collector;
         g_collector=new CTickCollector;
         g_collector.Limits((int)lparam,(long)dparam);
         break;
      case CALL_BEGIN:
         Begin(lparam,dparam,sparam);
         break;
      case CALL_END:
         g_collector.End((uint)lparam);
         break;
      case CALL_REWIND:
         g_collector.Rewind();
         break;
      case CALL_ACKNOWLEDGED:
         g_collector.Acknowledged();
         break;
      case CALL_POLL:
         g_collector.ExpectAll();
         g_collector.Poll(lparam,dparam!=0.0,g_clock);
         break;
      case CALL_TAKE:
         if(g_collector.Take(lparam,body,(int)dparam))
            Say(body.m_data,body.Size());
         break;
      case CALL_OUTAGE_BEGAN:
         g_collector.OutageBegan();
         break;
      case CALL_OUTAGE_ENDED:
         g_collector.OutageEnded(lparam);
         break;
      case CALL_OFFSET:
         g_collector.UtcOffsetMin((int)lparam);
         break;
      case CALL_WANTS_BLOCKING:
         wants_blocking=g_collector.WantsBlocking(lparam);
         break;
     }
   Print("#",g_collector.TicksNumbered()," ",g_collector.TicksLate()," ",g_collector.TicksRevised()," ",
         g_collector.Streams()," ",(int)g_collector.WantsToSend()," ",(int)g_collector.KeepsUp()," ",(int)wants_blocking);
  }
