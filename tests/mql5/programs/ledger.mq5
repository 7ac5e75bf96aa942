//+------------------------------------------------------------------+
//|                                                       ledger.mq5 |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The EA's ledger, driven by test_ea_ledger.py as bridge/sim/ledger.py is by its own tests. A chart
// event is a call: its id says which, lparam of which ledger; what it gave is printed.

#property copyright   "mt5-zmq-bridge contributors, MIT licence"
#property version     "1.00"
#property description "Obeys the tests of the ledger."

#include <Bridge/Trade/Ledger.mqh>

enum ENUM_ORDER_OF_TEST
  {
   CALL_OPEN=1,
   CALL_CLOSE,
   CALL_NEXT,
   CALL_EPOCH,
   CALL_STATE,
   CALL_FIND,
   CALL_FIND_TAG,
   CALL_FIND_ORDER,
   CALL_UNRESOLVED,
   CALL_COUNT,
   CALL_WRITE,
   CALL_SAME,
   CALL_TRANSIENT,
   CALL_SEE_EPOCH
  };

#define LEDGERS  4
#define LINE_MAX 4000

CLedger g_ledgers[LEDGERS];
uchar   g_key[];

void Say(const uchar &bytes[],const int size)
  {
   const string text=BytesToHex(bytes,0,size);
   for(int at=0; at<StringLen(text); at+=LINE_MAX)
      Print("+",StringSubstr(text,at,LINE_MAX));
   Print("=");
  }

// An entry as one msgpack array.
void SayEntry(const SLedgerEntry &entry)
  {
   CMsgPackWriter writer;
   uchar content[];
   uchar attempt[];
   uchar result[];
   uchar bytes[];
   string problem="";
   const bool packed=CLedger::ContentOf(entry.tag,entry.flags,entry.request,content) && CLedger::PackAttempt(entry,attempt) &&
                     (!entry.has_result || entry.result.Pack(result,problem));
   writer.BeginArray(5);
   writer.String(entry.command_id);
   writer.Bytes(content,0,ArraySize(content));
   writer.Bytes(attempt,0,ArraySize(attempt));
   writer.Integer(entry.intent_msc);
   if(entry.has_result)
      writer.Bytes(result,0,ArraySize(result));
   else
      writer.Nil();
   if(!packed || !writer.ToArray(bytes))
      Print("! the entry cannot be packed ",problem);
   Say(bytes,ArraySize(bytes));
  }

bool ReadEntry(const string text,SLedgerEntry &entry)
  {
   CMsgPackReader reader;
   uchar body[];
   uchar content[];
   uchar attempt[];
   uchar result[];
   string problem="";
   if(HexToBytes(text,body)<0)
      return(false);
   reader.Attach(body);
   const int extra=reader.BeginArray(5,"the entry");
   entry.command_id=reader.Text(4096,"command_id");
   reader.Bin(content,65536,false,"content");
   reader.Bin(attempt,65536,false,"attempt");
   entry.intent_msc=reader.I64("intent_msc");
   entry.has_result=!reader.Nil();
   if(entry.has_result)
      reader.Bin(result,65536,false,"result");
   reader.EndArray(extra);
   return(reader.Finish("entry",problem) && CLedger::UnpackContent(content,entry) && CLedger::UnpackAttempt(attempt,entry) &&
          (!entry.has_result || entry.result.Unpack(result,problem)));
  }

// A number as eight bytes in hex: StringToInteger knows no unsigned ones.
ulong Number(const string text)
  {
   uchar bytes[];
   return(HexToBytes(text,bytes)==8 ? GetU64BE(bytes,0) : 0);
  }

// Whether the ledger has the content of an entry under its id.
bool IsSame(const int at,const string text)
  {
   SLedgerEntry asked;
   SLedgerEntry known;
   if(!ReadEntry(text,asked) || g_ledgers[at].Find(asked.command_id,known)!=LEDGER_FOUND)
     {
      Print("! no entry");
      return(false);
     }
   return(CLedger::SameContent(known,asked.tag,asked.flags,asked.request));
  }

int OnInit(void)
  {
   if(ArrayResize(g_key,WIRE_KEY_SIZE)!=WIRE_KEY_SIZE)
      return(INIT_FAILED);
   ArrayInitialize(g_key,1);
   return(INIT_SUCCEEDED);
  }

void OnDeinit(const int reason)
  {
   for(int i=0; i<LEDGERS; i++)
      g_ledgers[i].Close();
  }

void OnChartEvent(const int id,const long &lparam,const double &dparam,const string &sparam)
  {
   const int at=(int)lparam;
   SLedgerEntry entry;
   SLedgerEntry entries[];
   uchar incarnation[];
   bool done=true;
   long number=0;
   ulong value=0;
   int look=(int)LEDGER_ABSENT;
   if(at<0 || at>=LEDGERS)
      return;
   switch(id)
     {
      case CALL_OPEN:
         done=g_ledgers[at].Open(sparam,77,"Demo",g_key);
         break;
      case CALL_CLOSE:
         g_ledgers[at].Close();
         break;
      case CALL_NEXT:
         done=g_ledgers[at].NextConnection();
         break;
      case CALL_EPOCH:
         value=Number(sparam);
         done=g_ledgers[at].CommitEpoch(value);
         break;
      case CALL_SEE_EPOCH:
         value=Number(sparam);
         done=g_ledgers[at].SeeRelayEpoch(value);
         break;
      case CALL_STATE:
         value=Number(sparam);
         done=g_ledgers[at].CommitState((uint)value);
         break;
      case CALL_FIND:
         look=(int)g_ledgers[at].Find(sparam,entry);
         break;
      case CALL_FIND_TAG:
         look=(int)g_ledgers[at].FindTag(sparam,entry);
         break;
      case CALL_FIND_ORDER:
         value=Number(sparam);
         look=(int)g_ledgers[at].FindOrder(value,entry);
         break;
      case CALL_UNRESOLVED:
         done=g_ledgers[at].Unresolved(entries);
         for(int i=0; i<ArraySize(entries); i++)
            SayEntry(entries[i]);
         break;
      case CALL_COUNT:
         value=Number(sparam);
         done=g_ledgers[at].CountSince((long)value,number);
         break;
      case CALL_WRITE:
         if(!ReadEntry(sparam,entry))
            Print("! the entry cannot be read");
         else
            done=g_ledgers[at].Write(entry);
         break;
      case CALL_SAME:
         done=IsSame(at,sparam);
         break;
      case CALL_TRANSIENT:
         done=g_ledgers[at].UseTransient(77,g_key);
         break;
     }
   if(look==(int)LEDGER_FOUND)
      SayEntry(entry);
   if(look==(int)LEDGER_FAILED)
      done=false;
   if(!g_ledgers[at].CopyIncarnation(incarnation))
      Print("! no incarnation");
   if(!done)
      Print("?",g_ledgers[at].Problem());
   Print("~",g_ledgers[at].DurabilityProblem());
   Print("#",(int)done," ",(int)g_ledgers[at].Durable()," ",g_ledgers[at].ConnectionCounter()," ",g_ledgers[at].RelayEpochSeen()," ",
         g_ledgers[at].TradingState()," ",number," ",(int)g_ledgers[at].IsOpen()," ",BytesToHex(incarnation,0,16));
  }
