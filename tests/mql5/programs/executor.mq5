//+------------------------------------------------------------------+
//|                                                     executor.mq5 |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The EA's executor with its ledger, driven by test_ea_executor.py as bridge/sim/trading_executor.py
// is by the tests of the trading desk. A chart event is a call: its id says which, its words follow
// in the text; what it gave is printed.

#property copyright   "mt5-zmq-bridge contributors, MIT licence"
#property version     "1.00"
#property description "Obeys the tests of the executor."

#include <Bridge/Trade/Executor.mqh>

enum ENUM_ORDER_OF_TEST
  {
   CALL_OPEN=1,
   CALL_ANSWERS,
   CALL_SEND,
   CALL_OVER,
   CALL_RETURNED,
   CALL_KNOWN,
   CALL_RECORD,
   CALL_EPOCH,
   CALL_RETRY,
   CALL_LIMITS,
   CALL_CLOSE,
   CALL_TAG
  };

CBroker          g_broker;
CLedger          g_ledger;
CCommands        g_commands(&g_ledger);
CRequestMaker    g_maker(&g_broker);
CEvidenceFinder  g_finder(&g_broker,&g_commands);
CResultMaker     g_results;
CExecutor        g_executor(&g_broker,&g_commands,&g_maker,&g_finder,&g_results);
string           g_words[];

long Number(const int at)
  {
   return(at<ArraySize(g_words) ? StringToInteger(g_words[at]) : 0);
  }

string Word(const int at)
  {
   return(at<ArraySize(g_words) ? g_words[at] : "");
  }

void SayBytes(const string mark,const uchar &bytes[])
  {
   Print(mark,BytesToHex(bytes,0,ArraySize(bytes)));
  }

void SayResult(const SResult &result)
  {
   uchar body[];
   string problem="";
   if(!result.Pack(body,problem))
      Print("! ",problem);
   SayBytes("=",body);
  }

void SaySent(const SLedgerEntry &entry)
  {
   uchar bytes[];
   if(!CLedger::PackAttempt(entry,bytes))
      Print("! attempt");
   SayBytes("+",bytes);
  }

// alias, login, server, key, role, whether to send asynchronously
void Open(void)
  {
   uchar key[];
   uchar incarnation[];
   if(HexToBytes(Word(3),key)<0 || !g_ledger.Open(Word(0),(ulong)Number(1),Word(2),key))
      Print("! ",g_ledger.Problem());
   g_commands.Begin();
   if(!g_ledger.CopyIncarnation(incarnation) || !g_results.Begin(incarnation)
      || !g_executor.Begin((ulong)Number(1),(uint)Number(4),Number(5)!=0))
      Print("! incarnation");
   SayBytes("=",incarnation);
  }

// read_only, demo_only, max_volume, max_positions, max_per_minute, symbols
void Limit(void)
  {
   CTradingLimits *limits=g_executor.Limits();
   limits.read_only=(Number(0)!=0);
   limits.demo_only=(Number(1)!=0);
   limits.max_volume=StringToDouble(Word(2));
   limits.max_positions=(int)Number(3);
   limits.max_per_minute=(int)Number(4);
   limits.Symbols(Word(5));
  }

// now, server time, offset, permissions, offset of the clocks
void FillMoment(SMoment &moment,const int at)
  {
   moment.now_us=Number(at);
   moment.server_msc=Number(at+1);
   moment.utc_offset_min=(int)Number(at+2);
   moment.permissions=(uint)Number(at+3);
   moment.clock_offset_us=Number(at+4);
  }

// moment, NEW, state, login
void Execute(const int id)
  {
   SMoment moment={};
   SNew order;
   SResult result;
   uchar body[];
   string problem="";
   FillMoment(moment,0);
   if(HexToBytes(Word(5),body)<0 || !order.Unpack(body,problem))
     {
      Print("! ",problem);
      return;
     }
   const uint state=(uint)Number(6);
   const ulong login=(ulong)Number(7);
   bool answered=false;
   if(id==CALL_ANSWERS)
      answered=g_executor.Answers(order,state,login,moment,result);
   if(id==CALL_KNOWN)
      answered=g_executor.Known(order,moment,result);
   if(id==CALL_SEND)
      answered=g_executor.Send(order,state,login,moment,result);
   if(answered)
      SayResult(result);
   SLedgerEntry entry;
   if(id==CALL_SEND && g_commands.Find(order.command_id,entry)==LEDGER_FOUND)
      SaySent(entry);
  }

void Return(void)
  {
   SMoment moment={};
   SLedgerEntry entry;
   SResult result;
   FillMoment(moment,0);
   if(g_executor.Returned(moment,entry,result))
      SayResult(result);
  }

// What the desk found out about a command.
void Record(void)
  {
   uchar body[];
   string problem="";
   SResult result;
   SLedgerEntry entry;
   if(HexToBytes(Word(0),body)<0 || !result.Unpack(body,problem))
     {
      Print("! ",problem);
      return;
     }
   if(g_commands.Find(result.command_id,entry)!=LEDGER_FOUND || !entry.SetResult(result))
     {
      Print("! not found");
      return;
     }
   g_commands.Record(entry);
  }

int OnInit(void)
  {
   return(INIT_SUCCEEDED);
  }

void OnDeinit(const int reason)
  {
   g_ledger.Close();
  }

void OnTradeTransaction(const MqlTradeTransaction &trans,
                        const MqlTradeRequest &request,
                        const MqlTradeResult &result)
  {
   g_executor.Heard(trans,request,result);
  }

void OnChartEvent(const int id,const long &lparam,const double &dparam,const string &sparam)
  {
   if(StringSplit(sparam,'|',g_words)<1)
      ArrayFree(g_words);
   switch(id)
     {
      case CALL_OPEN:
         Open();
         break;
      case CALL_OVER:
         Print("=",g_executor.UnderWay() && g_executor.IsOver(Number(0),Number(1)!=0) ? "yes" : "no");
         break;
      case CALL_RETURNED:
         Return();
         break;
      case CALL_RECORD:
         Record();
         break;
      case CALL_EPOCH:
         g_commands.CommitEpoch((ulong)Number(0));
         break;
      case CALL_RETRY:
         g_commands.Retry(Number(0));
         break;
      case CALL_LIMITS:
         Limit();
         break;
      case CALL_CLOSE:
         g_ledger.Close();
         break;
      case CALL_TAG:
         Print("=",OrderTag(Word(0)));
         break;
      default:
         Execute(id);
         break;
     }
   Print("# ",g_commands.Problem());
  }
//+------------------------------------------------------------------+
