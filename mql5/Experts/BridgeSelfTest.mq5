//+------------------------------------------------------------------+
//|                                               BridgeSelfTest.mq5 |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Attach it to any chart: it checks in a few seconds whether this terminal does what the bridge
// takes for granted, prints a line for each check into the Experts tab, and removes itself.
// Then it prints what it has SEEN of this terminal: please send all of it to the authors.
// It needs no key. It trades nothing unless InpTryOrder is set, and then on a demo account only: one
// pending order of the smallest volume at half the price, which it removes.
// It leaves a ledger of its own, MQL5\Files\Bridge\selftest-0-none.sqlite, which may be deleted.
// The last line is: BridgeSelfTest: N passed, N failed, build B.
#property copyright   "The mt5-zmq-bridge authors"
#property version     "1.00"
#property description "Checks whether this terminal does what the bridge takes for granted."
#property description "Prints PASS and FAIL lines into the Experts tab and removes itself."

#include <Bridge/App/Checklist.mqh>
#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Support/Clock.mqh>
#include <Bridge/Support/Crc32.mqh>
#include <Bridge/Support/Identity.mqh>
#include <Bridge/Trade/Ledger.mqh>
#include <Bridge/Wire/Hmac.mqh>
#include <Bridge/Wire/Messages.mqh>
#include <Bridge/Wire/Session.mqh>
#include <Bridge/Wire/Vectors.mqh>

#define HASH_ROUNDS   200
#define HASH_BYTES    8192
#define SLEEP_ROUNDS  20

input string InpRelayHost="127.0.0.1"; // Address that the bridge will use
input int    InpRelayPort=5555;        // Port of the relay for terminals
input bool   InpTryOrder=false;        // Place and remove one pending order (demo accounts only)

int g_passed=0;
int g_failed=0;
CChecklist g_checklist;

void Check(const string name,const bool passed,const string detail="")
  {
   if(passed)
      g_passed++;
   else
      g_failed++;
   Print((passed ? "PASS " : "FAIL "),name,(detail=="" ? "" : ": "+detail));
  }

//+------------------------------------------------------------------+
//| The language: sizes, byte order, arrays, texts                   |
//+------------------------------------------------------------------+
void CheckLanguage(void)
  {
   Check("MqlTick has 60 bytes",sizeof(MqlTick)==60,IntegerToString(sizeof(MqlTick)));
   Check("MqlRates has 60 bytes",sizeof(MqlRates)==60,IntegerToString(sizeof(MqlRates)));
   MqlTick tick={};
   uchar bytes[];
   tick.time_msc=0x0102030405060708;
   tick.flags=0x11223344;
   bool copied=StructToCharArray(tick,bytes);
   Check("numbers are little endian",copied && ArraySize(bytes)>=60 && bytes[40]==0x08 && bytes[47]==0x01 && bytes[48]==0x44);
   Check("a double has the bits of IEEE 754",DoubleToBits(1.5)==0x3FF8000000000000 && BitsToDouble(0xC004000000000000)==-2.5);
   Check("a float has the bits of IEEE 754",BitsToFloat(0x3FC00000)==1.5);
   Check("infinity and NaN are known by their bits",!IsFinite(BitsToDouble(0x7FF0000000000000)) && !IsFinite(BitsToDouble(0xFFF8000000000000)) && IsFinite(1e300));
   long lowest=LONG_MIN;
   ulong highest=ULONG_MAX;
   Check("integers of 64 bits wrap",(ulong)lowest==0x8000000000000000 && highest+1==0 && (long)highest==-1);
  }

void CheckArrays(void)
  {
   uchar data[];
   bool sound=(ArrayResize(data,8)==8);
   for(int i=0; i<8 && sound; i++)
      data[i]=(uchar)i;
   sound=sound && ArrayCopy(data,data,0,2,6)==6;
   Check("ArrayCopy moves an array's own bytes to its begin",sound && data[0]==2 && data[1]==3 && data[5]==7);
   sound=(ArrayResize(data,4,64)==4 && ArrayResize(data,32,64)==32);
   Check("ArrayResize keeps what is there",sound && data[0]==2 && data[3]==5);
   uchar fixed[16];
   ArrayInitialize(fixed,7);
   Check("a fixed array keeps its size",ArraySize(fixed)==16 && ArrayCopy(fixed,data,0,0,4)==4 && fixed[0]==2 && fixed[15]==7);
  }

void CheckTexts(void)
  {
   uchar bytes[];
   string text=ShortToString(0x00E4)+"x"+ShortToString(0x20AC);
   int count=TextToUtf8(text,bytes);
   Check("texts become UTF-8",count==6 && BytesToHex(bytes,0,6)=="c3a478e282ac",IntegerToString(count));
   Check("and come back",Utf8ToText(bytes,0,6)==text && Utf8ToText(bytes,2,1)=="x");
   Check("a text outside the basic plane comes back",HexToBytes("f09f92b6",bytes)==4 && TextToUtf8(Utf8ToText(bytes,0,4),bytes)==4 && BytesToHex(bytes,0,4)=="f09f92b6");
   Check("an empty text has no bytes",TextToUtf8("",bytes)==0 && Utf8ToText(bytes,0,0)=="");
   Check("texts are cut to whole characters",ClipText(text,5)==StringSubstr(text,0,2));
  }

//+------------------------------------------------------------------+
//| Hashes                                                           |
//+------------------------------------------------------------------+
void CheckHashes(void)
  {
   string problem="";
   bool passed=CHmac::SelfTest(problem);
   Check("HMAC-SHA256 is that of RFC 4231",passed,problem);
   CCrc32 crc;
   uchar digits[];
   int count=TextToUtf8("123456789",digits);
   Check("CRC-32 is that of zlib",count==9 && crc.Update(0,digits,0,9)==0xCBF43926);
   int bad=0;
   for(int i=0; i+G_VECTORS_HMAC_COLUMNS<=ArraySize(g_vectors_hmac); i+=G_VECTORS_HMAC_COLUMNS)
     {
      CHmac hmac;
      uchar key[];
      uchar data[];
      uchar tag[];
      bool sound=HexToBytes(g_vectors_hmac[i+1],key)>0 && HexToBytes(g_vectors_hmac[i+2],data)>0 &&
                 HexToBytes(g_vectors_hmac[i+3],tag)==WIRE_TAG_SIZE && hmac.Key(key) &&
                 hmac.Run(data,0,ArraySize(data)) && hmac.SameAs(tag,0,WIRE_TAG_SIZE);
      if(!sound)
        {
         Print("     ",g_vectors_hmac[i]);
         bad++;
        }
     }
   Check("tags are those of the golden vectors",bad==0,StringFormat("%d of %d differ",bad,ArraySize(g_vectors_hmac)/G_VECTORS_HMAC_COLUMNS));
  }

void CheckHashSpeed(void)
  {
   CHmac hmac;
   uchar key[];
   uchar data[];
   bool sound=(ArrayResize(key,WIRE_KEY_SIZE)==WIRE_KEY_SIZE && ArrayResize(data,HASH_BYTES)==HASH_BYTES);
   if(sound)
     {
      ArrayInitialize(key,1);
      ArrayInitialize(data,2);
      sound=hmac.Key(key);
     }
   ulong begin_us=GetMicrosecondCount();
   for(int i=0; i<HASH_ROUNDS && sound; i++)
      sound=hmac.Run(data,0,HASH_BYTES);
   double each_us=(double)(GetMicrosecondCount()-begin_us)/HASH_ROUNDS;
   Check("a frame of 8 KiB is tagged within 2 ms",sound && each_us<2000.0,StringFormat("%.1f us",each_us));
  }

//+------------------------------------------------------------------+
//| The protocol                                                     |
//+------------------------------------------------------------------+
// Unpack a body and pack it again, for the messages that a terminal reads or writes most.
bool SameAgain(const int type,const uchar &body[],uchar &packed[],string &problem)
  {
   switch(type)
     {
      case FRAME_HELLO:
        {
         SHello message={};
         return(message.Unpack(body,problem) && message.Pack(packed,problem));
        }
      case FRAME_CHALLENGE:
        {
         SChallenge message={};
         return(message.Unpack(body,problem) && message.Pack(packed,problem));
        }
      case FRAME_WELCOME:
        {
         SWelcome message={};
         return(message.Unpack(body,problem) && message.Pack(packed,problem));
        }
      case FRAME_LOGOUT:
        {
         SLogout message={};
         return(message.Unpack(body,problem) && message.Pack(packed,problem));
        }
      case FRAME_HEARTBEAT:
        {
         SHeartbeat message={};
         return(message.Unpack(body,problem) && message.Pack(packed,problem));
        }
      case FRAME_SUBSCRIBE:
        {
         SSubscribe message={};
         return(message.Unpack(body,problem) && message.Pack(packed,problem));
        }
      case FRAME_STREAM:
        {
         SStream message={};
         return(message.Unpack(body,problem) && message.Pack(packed,problem));
        }
      case FRAME_GAP:
        {
         SGap message={};
         return(message.Unpack(body,problem) && message.Pack(packed,problem));
        }
      case FRAME_REFILL:
        {
         SRefill message={};
         return(message.Unpack(body,problem) && message.Pack(packed,problem));
        }
      case FRAME_REQUEST:
        {
         SRequest message;
         return(message.Unpack(body,problem) && message.Pack(packed,problem));
        }
      case FRAME_PAGE:
        {
         SPage message;
         return(message.Unpack(body,problem) && message.Pack(packed,problem));
        }
      case FRAME_NEW:
        {
         SNew message;
         return(message.Unpack(body,problem) && message.Pack(packed,problem));
        }
      case FRAME_QUERY:
        {
         SQuery message;
         return(message.Unpack(body,problem) && message.Pack(packed,problem));
        }
      case FRAME_RESULT:
        {
         SResult message;
         return(message.Unpack(body,problem) && message.Pack(packed,problem));
        }
      case FRAME_EVENT:
        {
         SEvent message;
         return(message.Unpack(body,problem) && message.Pack(packed,problem));
        }
     }
   return(ArrayCopy(packed,body)==ArraySize(body) && ArrayResize(packed,ArraySize(body))==ArraySize(body));
  }

void CheckMessages(void)
  {
   int bad=0;
   for(int i=0; i+G_VECTORS_MESSAGES_COLUMNS<=ArraySize(g_vectors_messages); i+=G_VECTORS_MESSAGES_COLUMNS)
     {
      uchar body[];
      uchar packed[];
      string problem="";
      int type=(int)StringToInteger(g_vectors_messages[i+1]);
      bool sound=HexToBytes(g_vectors_messages[i+2],body)>0 && SameAgain(type,body,packed,problem);
      if(!sound || BytesToHex(packed,0,ArraySize(packed))!=g_vectors_messages[i+2])
        {
         Print("     ",g_vectors_messages[i]," ",problem);
         bad++;
        }
     }
   Check("messages are read and written byte for byte",bad==0,StringFormat("%d of %d differ",bad,ArraySize(g_vectors_messages)/G_VECTORS_MESSAGES_COLUMNS));
  }

void CheckRecords(void)
  {
   int bad=0;
   CCrc32 crc;
   uint running=0;
   long last_msc=0;
   for(int i=0; i+G_VECTORS_RECORDS_COLUMNS<=ArraySize(g_vectors_records); i+=G_VECTORS_RECORDS_COLUMNS)
     {
      CByteBuffer record;
      CByteBuffer piece;
      uchar bits[];
      long time_msc=StringToInteger(g_vectors_records[i+2]);
      record.U8(0x99);
      record.U8(0xCE);
      record.U32BE((uint)StringToInteger(g_vectors_records[i]));
      record.U8(0xCF);
      record.U64BE((ulong)StringToInteger(g_vectors_records[i+1]));
      record.U8(0xD3);
      record.U64BE((ulong)time_msc);
      piece.U64LE((ulong)time_msc);
      bool sound=true;
      for(int field=3; field<7; field++)
        {
         sound=sound && HexToBytes(g_vectors_records[i+field],bits)==8;
         double value=BitsToDouble(GetU64BE(bits,0));
         record.U8(0xCB);
         record.F64BE(value);
         piece.F64LE(value);
        }
      record.U8(0xCD);
      record.U16BE((uint)StringToInteger(g_vectors_records[i+7]));
      record.U8(0xD1);
      record.U16BE((uint)(StringToInteger(g_vectors_records[i+8])&0xFFFF));
      running=crc.Update((time_msc==last_msc ? running : 0),piece.m_data,0,piece.Size());
      last_msc=time_msc;
      if(!sound || record.Hex()!=g_vectors_records[i+9] || (long)running!=StringToInteger(g_vectors_records[i+11]))
         bad++;
     }
   Check("tick records and their CRC are those of the golden vectors",bad==0,StringFormat("%d of %d differ",bad,ArraySize(g_vectors_records)/G_VECTORS_RECORDS_COLUMNS));
  }

// Log on with the golden logon; false: it did not become active.
bool LogOn(CSession &session)
  {
   SHello hello={};
   uchar key[];
   uchar body[];
   uchar frame[];
   string problem="";
   CByteBuffer out;
   if(HexToBytes(VECTOR_LOGON_KEY,key)!=WIRE_KEY_SIZE || HexToBytes(VECTOR_LOGON_HELLO_BODY,body)<=0)
      return(false);
   if(!hello.Unpack(body,problem) || !session.Begin(key,hello,5000000))
      return(false);
   for(int i=0; i+G_VECTORS_LOGON_COLUMNS<=ArraySize(g_vectors_logon) && i<4*G_VECTORS_LOGON_COLUMNS; i+=G_VECTORS_LOGON_COLUMNS)
     {
      if(g_vectors_logon[i]=="relay")
        {
         int count=HexToBytes(g_vectors_logon[i+2],frame);
         session.ReceiveData(frame,count,5000000);
        }
      else
        {
         out.Clear();
         if(session.DataToSend(out)<=0 || out.Hex()!=g_vectors_logon[i+2])
            return(false);
        }
     }
   return(session.Active());
  }

void CheckSessions(void)
  {
   CSession session;
   bool opened=LogOn(session);
   Check("the golden logon opens a session, byte for byte",opened,session.StateText());
   int bad=0;
   for(int i=0; i+G_VECTORS_REFUSED_COLUMNS<=ArraySize(g_vectors_refused); i+=G_VECTORS_REFUSED_COLUMNS)
     {
      uchar frame[];
      int code=-1;
      SSessionEvent event;
      int count=HexToBytes(g_vectors_refused[i+2],frame);
      if(LogOn(session) && count>0)
        {
         session.ReceiveData(frame,count,5000000);
         while(session.NextEvent(event))
            if(event.kind==SESSION_EVENT_CLOSED)
               code=event.code;
        }
      if(code!=(int)StringToInteger(g_vectors_refused[i+1]))
        {
         Print("     ",g_vectors_refused[i]," ended with ",code);
         bad++;
        }
     }
   Check("wrong frames end a session with their code",bad==0,StringFormat("%d of %d differ",bad,ArraySize(g_vectors_refused)/G_VECTORS_REFUSED_COLUMNS));
  }

//+------------------------------------------------------------------+
//| The terminal: clocks and the database                            |
//+------------------------------------------------------------------+
void CheckClocks(void)
  {
   CClock clock;
   long before_us=clock.NowUs();
   long longest_us=0;
   long begin_us=before_us;
   bool forward=true;
   for(int i=0; i<SLEEP_ROUNDS; i++)
     {
      Sleep(1);
      long now_us=clock.NowUs();
      forward=forward && now_us>=before_us;
      if(now_us-before_us>longest_us)
         longest_us=now_us-before_us;
      before_us=now_us;
     }
   long mean_us=(before_us-begin_us)/SLEEP_ROUNDS;
   Check("the microseconds go forward",forward && before_us>begin_us);
   Check("Sleep(1) takes less than 50 ms",longest_us<50000,StringFormat("%I64d us on average, %I64d us at most",mean_us,longest_us));
   long utc_msc=clock.UtcMsc();
   Check("the clock of UTC is set",utc_msc>(long)1700000000*1000,TimeToString(TimeGMT(),TIME_DATE|TIME_MINUTES|TIME_SECONDS));
   int offset_min=clock.UtcOffsetMin();
   Check("the server's clock is within 14 hours of UTC",offset_min>=-840 && offset_min<=840,StringFormat("%d minutes",offset_min));
  }

void CheckDatabase(void)
  {
   CIdentity identity;
   uchar key[];
   uchar first[];
   uchar second[];
   bool sound=(ArrayResize(key,WIRE_KEY_SIZE)==WIRE_KEY_SIZE);
   if(sound)
      ArrayInitialize(key,3);
   sound=sound && identity.Open("selftest",0,"none",key);
   Check("SQLite keeps an identity",sound,identity.Problem());
   Check("SQLite is durable: journal_mode and synchronous are read back",identity.Durable(),identity.DurabilityProblem());
   ulong before=identity.ConnectionCounter();
   bool raised=identity.NextConnection();
   Check("the connection counter is raised",raised && identity.ConnectionCounter()>before,identity.Problem());
   bool copied=identity.CopyIncarnation(first);
   before=identity.ConnectionCounter();
   identity.Close();
   bool same=identity.Open("selftest",0,"none",key) && identity.CopyIncarnation(second) && copied &&
             identity.ConnectionCounter()==before && SameBytes(first,0,second,0,IDENTITY_INCARNATION_SIZE);
   Check("it is there after closing",same,identity.Problem());
   identity.Close();
  }

// What the ledger of an account that trades must do: keep a command with all its bits.
void FillLedgerEntry(SLedgerEntry &entry)
  {
   entry.command_id="selftest/1";
   entry.tag="zb1:SELFTEST";
   entry.flags=NEW_ADMIN;
   entry.request.action=(uint)TRADE_ACTION_DEAL;
   entry.request.has_symbol=true;
   entry.request.symbol="EURUSD";
   entry.request.has_volume=true;
   entry.request.volume=0.1;
   entry.sent.action=TRADE_ACTION_DEAL;
   entry.sent.magic=ULONG_MAX;
   entry.sent.symbol="EURUSD";
   entry.sent.volume=0.1;
   entry.sent.comment="zb1:SELFTEST";
   entry.before[0]=1.25;
   entry.before_count=1;
   entry.intent_msc=(long)TimeCurrent()*1000;
   entry.result.command_id=entry.command_id;
   entry.result.outcome=OUTCOME_DONE;
   entry.result.order=ULONG_MAX-4;
   entry.result.price=1.25;
   entry.result.text="\x00E4";
  }

bool IsLedgerEntry(const SLedgerEntry &entry,const SLedgerEntry &expected)
  {
   return(CLedger::SameContent(entry,expected.tag,expected.flags,expected.request) && entry.command_id==expected.command_id &&
          entry.intent_msc==expected.intent_msc && entry.before_count==1 && DoubleToBits(entry.before[0])==DoubleToBits(1.25) &&
          entry.sent.magic==ULONG_MAX && entry.sent.comment==expected.sent.comment && entry.has_result==expected.has_result &&
          entry.Outcome()==expected.Outcome() && entry.Order()==expected.Order() && entry.result.text==(entry.has_result ? expected.result.text : ""));
  }

void CheckLedger(void)
  {
   CLedger ledger;
   SLedgerEntry expected;
   SLedgerEntry intent;
   SLedgerEntry outcome;
   uchar key[];
   long count=0;
   bool sound=(ArrayResize(key,WIRE_KEY_SIZE)==WIRE_KEY_SIZE);
   if(sound)
      ArrayInitialize(key,3);
   FillLedgerEntry(expected);
   sound=sound && ledger.Open("selftest",0,"none",key);
   Check("the ledger opens",sound,ledger.Problem());
   if(!sound)
      return;
   Check("the ledger is durable: the terminal may trade",ledger.Durable(),ledger.DurabilityProblem());
   const ulong begin_us=GetMicrosecondCount();
   sound=ledger.Write(expected);
   const ulong took_us=GetMicrosecondCount()-begin_us;
   Check("the ledger takes an intent",sound,(sound ? StringFormat("in %I64u us, on the disk",took_us) : ledger.Problem()));
   sound=(ledger.Find(expected.command_id,intent)==LEDGER_FOUND && IsLedgerEntry(intent,expected));
   Check("the ledger has it",sound,ledger.Problem());
   expected.has_result=true;
   sound=ledger.Write(expected) && ledger.CommitState(TRADING_STATE_REDUCING);
   Check("the ledger takes an outcome and a trading state",sound,ledger.Problem());
   ledger.Close();
   sound=ledger.Open("selftest",0,"none",key);
   Check("the ledger is sound after closing",sound && ledger.TradingState()==(uint)TRADING_STATE_REDUCING,ledger.Problem());
   sound=(ledger.Find(expected.command_id,outcome)==LEDGER_FOUND && IsLedgerEntry(outcome,expected));
   Check("the outcome is there after closing",sound,ledger.Problem());
   sound=(ledger.FindOrder(ULONG_MAX-4,outcome)==LEDGER_FOUND && IsLedgerEntry(outcome,expected) &&
          ledger.Find("selftest/2",intent)==LEDGER_ABSENT && ledger.CountSince(-1,count) && count==1);
   Check("it is found by its ticket of 64 bits, and nothing else",sound,ledger.Problem());
   sound=ledger.CommitState(TRADING_STATE_ACTIVE);
   Check("the trading state is put back",sound,ledger.Problem());
   ledger.Close();
  }

//+------------------------------------------------------------------+
//| The list of what was seen                                        |
//+------------------------------------------------------------------+
void FillChecklist(void)
  {
   CLedger ledger;
   uchar key[];
   Print("BridgeSelfTest: what follows is neither right nor wrong, it is how this terminal is");
   g_checklist.Terminal();
   g_checklist.Sleeps();
   bool sound=(ArrayResize(key,WIRE_KEY_SIZE)==WIRE_KEY_SIZE);
   if(sound)
      ArrayInitialize(key,3);
   if(sound && ledger.Open("selftest",0,"none",key))
      g_checklist.Ledger(ledger);
   ledger.Close();
   g_checklist.Ticks(_Symbol);
   g_checklist.Address(InpRelayHost,InpRelayPort);
   if(InpTryOrder)
      g_checklist.Order(_Symbol);
   else
      Print("NOT SEEN an order's comment: set InpTryOrder on a demo account");
  }

void Finish(void)
  {
   Print("BridgeSelfTest: ",g_passed," passed, ",g_failed," failed, build ",TerminalInfoInteger(TERMINAL_BUILD));
   ExpertRemove();
  }

int OnInit(void)
  {
   CheckLanguage();
   CheckArrays();
   CheckTexts();
   CheckHashes();
   CheckHashSpeed();
   CheckMessages();
   CheckRecords();
   CheckSessions();
   CheckClocks();
   CheckDatabase();
   CheckLedger();
   FillChecklist();
   if(!g_checklist.BeginTimer())
      Finish();
   return(INIT_SUCCEEDED);
  }

void OnTimer(void)
  {
   if(g_checklist.OnTimer())
      Finish();
  }
