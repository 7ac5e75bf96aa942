//+------------------------------------------------------------------+
//|                                                     evidence.mq5 |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Results, evidence, events, commands and reads of the EA, driven by tests of bridge/sim/trading*.py
// and by tests of their own. A chart event is a call: its id says which, its text is
// the arguments as msgpack in hex; what it gave is printed likewise.

#property copyright   "mt5-zmq-bridge contributors, MIT licence"
#property version     "1.00"
#property description "Obeys the tests of results, evidence and events."

#include <Bridge/Trade/Commands.mqh>
#include <Bridge/Trade/Freshness.mqh>
#include <Bridge/Trade/Records.mqh>
#include <Bridge/Trade/Results.mqh>
#include <Bridge/Trade/TradeEvents.mqh>
#include <Bridge/Trade/TradeReads.mqh>

enum ENUM_ORDER_OF_TEST
  {
   CALL_OUTCOME=1,
   CALL_MAKE,
   CALL_DENIED,
   CALL_FOUND,
   CALL_ADDS,
   CALL_REPLAYED,
   CALL_LOOK,
   CALL_DEALS,
   CALL_EVENTS_BEGIN,
   CALL_EVENTS_END,
   CALL_EVENTS_CLOCK,
   CALL_EVENTS_ACK,
   CALL_EVENTS_TAKE,
   CALL_COMMANDS_OPEN,
   CALL_INTEND,
   CALL_RECORD,
   CALL_FIND,
   CALL_TRACE,
   CALL_EPOCH,
   CALL_STATE,
   CALL_RETRY,
   CALL_ANOTHER,
   CALL_RIVALS,
   CALL_READ,
   CALL_TRADED,
   CALL_HOLDS,
   CALL_SENDS
  };

#define LINE_MAX 4000

//+------------------------------------------------------------------+
//| What the test says of other commands                             |
//+------------------------------------------------------------------+
class CToldClaims : public CClaims
  {
public:
   ulong             m_others[];
   int               m_rivals;
                     CToldClaims(void) : m_rivals(0) { }
   virtual int       BelongsToAnother(const string command_id,const ulong order) override;
   virtual int       Rivals(const SCase &sought) override { return(m_rivals); }
  };

int CToldClaims::BelongsToAnother(const string command_id,const ulong order)
  {
   if(m_rivals<-1)
      return(-1);
   for(int i=0; i<ArraySize(m_others); i++)
      if(m_others[i]==order)
         return(1);
   return(0);
  }

CBroker          g_broker;
CToldClaims      g_claims;
CLedger          g_ledger;
CCommands       *g_commands=NULL;
CEvidenceFinder *g_finder=NULL;
CEventStream    *g_events=NULL;
CFreshness      *g_freshness=NULL;
CRequestMaker   *g_maker=NULL;
CTradeReads     *g_reads=NULL;
CResultMaker     g_results;
CMsgPackReader   g_reader;
long             g_now_us=0;
uchar            g_key[];

void Say(const CMsgPackWriter &writer)
  {
   uchar bytes[];
   if(!writer.ToArray(bytes))
      Print("! no memory");
   const string text=BytesToHex(bytes,0,ArraySize(bytes));
   for(int at=0; at<StringLen(text); at+=LINE_MAX)
      Print("+",StringSubstr(text,at,LINE_MAX));
   Print("=");
  }

void SayResult(const SResult &result)
  {
   CMsgPackWriter writer;
   uchar body[];
   string problem="";
   if(!result.Pack(body,problem))
      Print("! ",problem);
   writer.Raw(body);
   Say(writer);
  }

void ReadMoment(SMoment &moment)
  {
   const int extra=g_reader.BeginArray(5,"the moment");
   moment.now_us=g_reader.I64("now_us");
   moment.server_msc=g_reader.I64("server_msc");
   moment.utc_offset_min=g_reader.I16("utc_offset_min");
   moment.permissions=g_reader.U32("permissions");
   moment.clock_offset_us=g_reader.I64("clock_offset_us");
   g_reader.EndArray(extra);
  }

// A RESULT as bytes, or nil.
void ReadKnown(SLedgerEntry &entry)
  {
   uchar body[];
   string problem="";
   entry.has_result=!g_reader.Nil();
   if(!entry.has_result)
      return;
   g_reader.Bin(body,65536,false,"result");
   if(!entry.result.Unpack(body,problem))
      Print("! ",problem);
   entry.command_id=entry.result.command_id;
  }

void ReadTickets(ulong &tickets[])
  {
   const int total=g_reader.Array(4096,"tickets");
   if(ArrayResize(tickets,total)!=total)
      Print("! no memory");
   for(int i=0; i<total && !g_reader.Failed(); i++)
      tickets[i]=g_reader.U64("ticket");
   g_reader.EndArray(0);
  }

void ReadFinding(SFinding &finding)
  {
   const int extra=g_reader.BeginArray(10,"the finding");
   finding.outcome=g_reader.U8("outcome");
   finding.evidence=g_reader.U8("evidence");
   finding.order=g_reader.U64("order");
   ReadTickets(finding.deals);
   finding.position=g_reader.U64("position");
   finding.volume=g_reader.F64("volume");
   finding.price=g_reader.F64("price");
   finding.time_msc=g_reader.I64("time_msc");
   finding.text=g_reader.Text(4096,"text");
   finding.complete=g_reader.Bool("complete");
   g_reader.EndArray(extra);
  }

void SayFinding(const SFinding &finding)
  {
   CMsgPackWriter writer;
   writer.BeginArray(10);
   writer.Unsigned((ulong)finding.outcome);
   writer.Unsigned((ulong)finding.evidence);
   writer.Unsigned(finding.order);
   writer.BeginArray(ArraySize(finding.deals));
   for(int i=0; i<ArraySize(finding.deals); i++)
      writer.Unsigned(finding.deals[i]);
   writer.Unsigned(finding.position);
   writer.Double(finding.volume);
   writer.Double(finding.price);
   writer.Integer(finding.time_msc);
   writer.String(finding.text);
   writer.Unsigned((ulong)(finding.complete ? 1 : 0));
   Say(writer);
  }

// An entry, as ledger.mq5 has it.
void ReadEntry(SLedgerEntry &entry)
  {
   uchar content[];
   uchar attempt[];
   uchar result[];
   string problem="";
   const int extra=g_reader.BeginArray(5,"the entry");
   entry.command_id=g_reader.Text(4096,"command_id");
   g_reader.Bin(content,65536,false,"content");
   g_reader.Bin(attempt,65536,false,"attempt");
   entry.intent_msc=g_reader.I64("intent_msc");
   entry.has_result=!g_reader.Nil();
   if(entry.has_result)
      g_reader.Bin(result,65536,false,"result");
   g_reader.EndArray(extra);
   if(!CLedger::UnpackContent(content,entry) || !CLedger::UnpackAttempt(attempt,entry) ||
      (entry.has_result && !entry.result.Unpack(result,problem)))
      Print("! the entry cannot be read ",problem);
  }

// What is looked for: an entry, whether its ledger is this one, and the rest of SCase.
void ReadCase(SCase &sought)
  {
   SLedgerEntry entry;
   const int extra=g_reader.BeginArray(6,"the case");
   ReadEntry(entry);
   sought.has_sent=g_reader.Bool("has_sent");
   sought.from_msc=g_reader.I64("from_msc");
   sought.until_msc=g_reader.I64("until_msc");
   sought.ended=g_reader.Bool("ended");
   const uint flags=g_reader.U32("flags");
   g_reader.EndArray(extra);
   sought.command_id=entry.command_id;
   sought.tag=entry.tag;
   sought.request=entry.request;
   MakeComparable(sought.request,flags);
   sought.sent=entry.sent;
   for(int i=0; i<TRADE_BEFORE_MAX; i++)
      sought.before[i]=entry.before[i];
   sought.before_count=entry.before_count;
  }

void Look(void)
  {
   SCase sought;
   SFinding finding;
   const int extra=g_reader.BeginArray(3,"look");
   ReadCase(sought);
   ReadTickets(g_claims.m_others);
   g_claims.m_rivals=g_reader.I32("rivals");
   g_reader.EndArray(extra);
   g_finder.Look(sought,finding);
   SayFinding(finding);
  }

void SayDeals(void)
  {
   CMsgPackWriter writer;
   SDealRecord deals[];
   const int extra=g_reader.BeginArray(2,"deals");
   const ulong order=g_reader.U64("order");
   const long from_msc=g_reader.I64("from_msc");
   g_reader.EndArray(extra);
   if(!g_finder.DealsOf(order,from_msc,deals))
      Print("! the deals cannot be read");
   writer.BeginArray(ArraySize(deals));
   for(int i=0; i<ArraySize(deals); i++)
      CRecords::Deal(writer,deals[i]);
   Say(writer);
  }

// One of the makers of a RESULT.
void Make(const int id)
  {
   SMoment moment={};
   SLedgerEntry entry;
   SFinding finding;
   SResult result;
   uchar incarnation[];
   bool made=true;
   const int extra=g_reader.BeginArray(5,"make");
   g_reader.Bin(incarnation,16,true,"incarnation");
   made=g_results.Begin(incarnation);
   ReadMoment(moment);
   if(id==CALL_FOUND)
     {
      ReadKnown(entry);
      entry.command_id=g_reader.Text(4096,"command_id");
      ReadFinding(finding);
      made=(g_results.Found(entry,finding,moment,result) && made);
     }
   else
     {
      const string command_id=g_reader.Text(4096,"command_id");
      const uint number=g_reader.U8("outcome or reason");
      const string text=g_reader.Text(4096,"text");
      if(id==CALL_MAKE)
         g_results.Make(command_id,number,moment,text,result);
      else
         g_results.Denied(command_id,number,text,moment,result);
     }
   g_reader.EndArray(extra);
   if(!made)
      Print("! it cannot be made");
   SayResult(result);
  }

void Replay(void)
  {
   SLedgerEntry entry;
   SResult result;
   ReadKnown(entry);
   if(!g_results.Replayed(entry.result,result))
      Print("! it cannot be replayed");
   SayResult(result);
  }

bool Adds(void)
  {
   SLedgerEntry entry;
   SFinding finding;
   const int extra=g_reader.BeginArray(2,"adds");
   ReadKnown(entry);
   ReadFinding(finding);
   g_reader.EndArray(extra);
   return(AddsTo(entry,finding));
  }

//+------------------------------------------------------------------+
//| Events                                                           |
//+------------------------------------------------------------------+
void BeginEvents(void)
  {
   SMoment moment={};
   long cursor_msc=0;
   ulong cursor_ticket=0;
   const int extra=g_reader.BeginArray(4,"begin");
   const bool has_cursor=!g_reader.Nil();
   if(has_cursor)
     {
      const int more=g_reader.BeginArray(2,"cursor");
      cursor_msc=g_reader.I64("time_msc");
      cursor_ticket=g_reader.U64("ticket");
      g_reader.EndArray(more);
     }
   ReadMoment(moment);
   const bool told=g_reader.Bool("told");
   const bool is_new=g_reader.Bool("is_new");
   g_reader.EndArray(extra);
   if(is_new)
     {
      if(CheckPointer(g_events)!=POINTER_INVALID)
         delete g_events;
      g_events=new CEventStream(GetPointer(g_broker));
     }
   g_events.Begin(has_cursor,cursor_msc,cursor_ticket,moment,told);
  }

void TakeEvents(void)
  {
   SMoment moment={};
   STold told;
   const int extra=g_reader.BeginArray(2,"take");
   ReadMoment(moment);
   const uint limit=g_reader.U32("limit");
   g_reader.EndArray(extra);
   for(uint i=0; i<limit && g_events.Next(moment,told); i++)
     {
      uchar body[];
      string problem="";
      CMsgPackWriter writer;
      if(!told.event.Pack(body,problem))
         Print("! ",problem);
      writer.BeginArray(6);
      writer.Raw(body);
      writer.Boolean(told.has_place);
      writer.Boolean(told.is_order);
      writer.Unsigned(told.ticket);
      writer.Unsigned(told.order);
      writer.String(told.comment);
      Say(writer);
     }
  }

void Acknowledge(void)
  {
   const int extra=g_reader.BeginArray(2,"ack");
   const long time_msc=g_reader.I64("time_msc");
   const ulong ticket=g_reader.U64("ticket");
   g_reader.EndArray(extra);
   g_events.Acknowledge(time_msc,ticket);
  }

//+------------------------------------------------------------------+
//| Commands                                                         |
//+------------------------------------------------------------------+
bool OpenCommands(void)
  {
   if(!g_ledger.Open("commands",77,"Demo",g_key))
      return(false);
   g_commands.Begin();
   return(true);
  }

void SayEntry(const ENUM_LEDGER_LOOK found,const SLedgerEntry &entry)
  {
   CMsgPackWriter writer;
   writer.BeginArray(4);
   writer.Integer((long)found);
   writer.String(found==LEDGER_FOUND ? entry.command_id : "");
   writer.Unsigned(found==LEDGER_FOUND ? (ulong)entry.Outcome() : 0);
   writer.Unsigned(found==LEDGER_FOUND ? entry.Order() : 0);
   Say(writer);
  }

void Trace(void)
  {
   SLedgerEntry entry;
   const int extra=g_reader.BeginArray(2,"trace");
   const string comment=g_reader.Text(4096,"comment");
   const ulong order=g_reader.U64("order");
   g_reader.EndArray(extra);
   const ENUM_LEDGER_LOOK found=g_commands.FindTrace(comment,order,entry);
   SayEntry(found,entry);
  }

int Another(void)
  {
   const int extra=g_reader.BeginArray(2,"another");
   const string command_id=g_reader.Text(4096,"command_id");
   const ulong order=g_reader.U64("order");
   g_reader.EndArray(extra);
   return(g_commands.BelongsToAnother(command_id,order));
  }

//+------------------------------------------------------------------+
//| Reads                                                            |
//+------------------------------------------------------------------+
void Read(void)
  {
   CMsgPackWriter writer;
   CMsgPackWriter answer;
   CMsgPackMap params;
   uchar map[];
   uchar value[];
   string text="";
   const int extra=g_reader.BeginArray(2,"read");
   const string method=g_reader.Text(64,"method");
   g_reader.Map(map,64,4,"params");
   g_reader.EndArray(extra);
   if(!CTradeReads::Knows(method) || !params.Attach(map))
      Print("! no such method, or no map");
   const uint code=g_reads.Answer(method,params,answer,text);
   writer.BeginArray(3);
   writer.Unsigned((ulong)code);
   writer.String(text);
   if(code==(uint)ERROR_CODE_OK && answer.ToArray(value))
      writer.Raw(value);
   else
      writer.Nil();
   Say(writer);
  }

//+------------------------------------------------------------------+
//| Freshness                                                        |
//+------------------------------------------------------------------+
// With a time of 0 a new life begins.
void Traded(const long now_us)
  {
   SLedgerEntry entry;
   if(now_us==0)
     {
      g_freshness.Begin();
      return;
     }
   ReadEntry(entry);
   g_freshness.Traded(entry,entry.result,now_us);
  }

bool Holds(const long now_us)
  {
   SNew order;
   uchar body[];
   string problem="";
   g_reader.Bin(body,65536,false,"new");
   if(!order.Unpack(body,problem))
      Print("! ",problem);
   return(g_freshness.Holds(order,now_us));
  }

int OnInit(void)
  {
   if(ArrayResize(g_key,WIRE_KEY_SIZE)!=WIRE_KEY_SIZE)
      return(INIT_FAILED);
   ArrayInitialize(g_key,1);
   g_commands=new CCommands(GetPointer(g_ledger));
   g_finder=new CEvidenceFinder(GetPointer(g_broker),GetPointer(g_claims));
   g_events=new CEventStream(GetPointer(g_broker));
   g_freshness=new CFreshness(GetPointer(g_broker),g_finder);
   g_maker=new CRequestMaker(GetPointer(g_broker));
   g_reads=new CTradeReads(GetPointer(g_broker),g_maker);
   return(INIT_SUCCEEDED);
  }

void OnDeinit(const int reason)
  {
   g_ledger.Close();
   if(CheckPointer(g_reads)!=POINTER_INVALID)
      delete g_reads;
   if(CheckPointer(g_freshness)!=POINTER_INVALID)
      delete g_freshness;
   if(CheckPointer(g_maker)!=POINTER_INVALID)
      delete g_maker;
   if(CheckPointer(g_events)!=POINTER_INVALID)
      delete g_events;
   if(CheckPointer(g_finder)!=POINTER_INVALID)
      delete g_finder;
   if(CheckPointer(g_commands)!=POINTER_INVALID)
      delete g_commands;
  }

void OnTradeTransaction(const MqlTradeTransaction &trans,
                        const MqlTradeRequest &request,
                        const MqlTradeResult &result)
  {
   g_events.Hint(trans,request,result,g_now_us);
  }

void OnChartEvent(const int id,const long &lparam,const double &dparam,const string &sparam)
  {
   SLedgerEntry entry;
   SCase sought;
   uchar body[];
   long answer=0;
   if(HexToBytes(sparam,body)<0)
      Print("! no hex");
   g_reader.Attach(body);
   switch(id)
     {
      case CALL_OUTCOME:
         answer=(long)OutcomeOf((uint)lparam,(uint)dparam);
         break;
      case CALL_MAKE:
      case CALL_DENIED:
      case CALL_FOUND:
         Make(id);
         break;
      case CALL_ADDS:
         answer=(long)Adds();
         break;
      case CALL_REPLAYED:
         Replay();
         break;
      case CALL_LOOK:
         Look();
         break;
      case CALL_DEALS:
         SayDeals();
         break;
      case CALL_EVENTS_BEGIN:
         BeginEvents();
         break;
      case CALL_EVENTS_END:
         g_events.End();
         break;
      case CALL_EVENTS_CLOCK:
         g_now_us=lparam;
         break;
      case CALL_EVENTS_ACK:
         Acknowledge();
         break;
      case CALL_EVENTS_TAKE:
         TakeEvents();
         break;
      case CALL_COMMANDS_OPEN:
         answer=(long)OpenCommands();
         break;
      case CALL_INTEND:
         ReadEntry(entry);
         answer=(long)g_commands.Intend(entry);
         break;
      case CALL_RECORD:
         ReadEntry(entry);
         g_commands.Record(entry);
         break;
      case CALL_FIND:
        {
         const string command_id=g_reader.Text(4096,"command_id");
         const ENUM_LEDGER_LOOK found=g_commands.Find(command_id,entry);
         SayEntry(found,entry);
         break;
        }
      case CALL_TRACE:
         Trace();
         break;
      case CALL_EPOCH:
         g_commands.CommitEpoch((ulong)lparam);
         break;
      case CALL_STATE:
         g_commands.CommitState((uint)lparam);
         break;
      case CALL_RETRY:
         g_commands.Retry(lparam);
         break;
      case CALL_ANOTHER:
         answer=(long)Another();
         break;
      case CALL_RIVALS:
         ReadCase(sought);
         answer=(long)g_commands.Rivals(sought);
         break;
      case CALL_READ:
         Read();
         break;
      case CALL_TRADED:
         Traded(lparam);
         break;
      case CALL_SENDS:
         g_freshness.Sends();
         break;
      case CALL_HOLDS:
         answer=(long)Holds(lparam);
         break;
     }
   if(g_reader.Failed())
      Print("! ",g_reader.Problem());
   Print("#",answer," ",g_commands.Unwritten()," ",g_events.Known()," ",(int)g_events.HasOverflown()," ",
         g_events.NextLookUs()," ",(g_commands.Problem()=="" ? "-" : g_commands.Problem()));
  }
