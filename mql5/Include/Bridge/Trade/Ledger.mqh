//+------------------------------------------------------------------+
//|                                                       Ledger.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The ledger of a terminal that trades: every command it ever took, and what became of it.
//
// An entry is written before its order is sent (the intent) and again when the outcome is known;
// Write() returns when it is on the disk. Entries are never removed: a terminal executes an id at
// most once, ever. The ledger also is who the terminal is (CIdentity) and the trading state that it
// obeys: all of it is one file.
//
// Rule 1: nothing is sent unless Durable() is true and Write() of its intent was.
// Rule 2: what cannot be read is LEDGER_FAILED, never LEDGER_ABSENT.
// Every failure is one sentence in Problem(); it ends trading, not the program.
// What must change together: this file, LedgerFile.mqh, Identity.mqh and bridge/sim/ledger.py,
// which reads and writes the same tables.

#ifndef BRIDGE_TRADE_LEDGER_MQH
#define BRIDGE_TRADE_LEDGER_MQH

#include <Bridge/Support/Identity.mqh>
#include <Bridge/Trade/Structures.mqh>

//--- what looking for an entry may give
enum ENUM_LEDGER_LOOK
  {
   LEDGER_FAILED=-1,   // it could not be read: Problem() says why
   LEDGER_ABSENT=0,
   LEDGER_FOUND =1
  };

//--- columns of the table of commands
#define LEDGER_COLUMN_COMMAND_ID 0
#define LEDGER_COLUMN_TAG        1
#define LEDGER_COLUMN_CONTENT    2
#define LEDGER_COLUMN_ATTEMPT    3
#define LEDGER_COLUMN_INTENT_MSC 4
#define LEDGER_COLUMN_RESULT     7
//--- bytes of a command_id, of a tag, and of a text that OrderSend was given: symbol, comment
#define LEDGER_ID_MAX            160
#define LEDGER_TAG_MAX           31
#define LEDGER_TEXT_MAX          4096
#define LEDGER_SENT_FIELDS       17

//+------------------------------------------------------------------+
//| The ledger of one alias, login and server                        |
//+------------------------------------------------------------------+
class CLedger : public CIdentity
  {
private:
   uint              m_trading_state;

   bool              LoadState(void);
   ENUM_LEDGER_LOOK  First(const int request,SLedgerEntry &entry);
   bool              ReadEntry(const int request,SLedgerEntry &entry);
   bool              Replace(const SLedgerEntry &entry,const uchar &content[],const uchar &attempt[],const uchar &result[]);
   bool              EntryCrc(const SLedgerEntry &entry,const uchar &content[],const uchar &attempt[],const uchar &result[],uint &crc) const;

public:
                     CLedger(void) : m_trading_state(TRADING_STATE_HALTED) { }
   virtual bool      Open(const string alias,const ulong login,const string server,const uchar &key[]) override;
   uint              TradingState(void) const { return(m_trading_state); }
   // Write the trading state that holds from now on; it holds also when that fails.
   bool              CommitState(const uint state);
   ENUM_LEDGER_LOOK  Find(const string command_id,SLedgerEntry &entry);
   ENUM_LEDGER_LOOK  FindTag(const string tag,SLedgerEntry &entry);
   ENUM_LEDGER_LOOK  FindOrder(const ulong order,SLedgerEntry &entry);
   // The entries without an end, oldest first.
   bool              Unresolved(SLedgerEntry &entries[]);
   // How many intents were written after a time of the server's clock.
   bool              CountSince(const long server_msc,long &count);
   // Add an entry or replace it; it is on the disk when this is true.
   bool              Write(const SLedgerEntry &entry);
   // The bytes in which two NEW of one id must be equal: not when and by whom they were sent, but
   // what they ask for.
   static bool       ContentOf(const string tag,const uint flags,const SOrderRequest &request,uchar &bytes[]);
   static bool       UnpackContent(const uchar &bytes[],SLedgerEntry &entry);
   // What OrderSend was given, and the values before.
   static bool       PackAttempt(const SLedgerEntry &entry,uchar &bytes[]);
   static bool       UnpackAttempt(const uchar &bytes[],SLedgerEntry &entry);
   static bool       SameContent(const SLedgerEntry &entry,const string tag,const uint flags,const SOrderRequest &request);
  };

// False: this ledger must not be used; Problem() says why.
bool CLedger::Open(const string alias,const ulong login,const string server,const uchar &key[])
  {
   m_trading_state=TRADING_STATE_HALTED;
   if(!CIdentity::Open(alias,login,server,key))
      return(false);
   if(LoadState())
      return(true);
   Close();
   return(false);
  }

bool CLedger::LoadState(void)
  {
   long state=0;
   bool row=false;
   const int request=m_store.Prepare("SELECT state FROM trading WHERE id=1",false);
   const bool read=m_store.Next(request,row);
   const bool sound=row && m_store.Long(request,0,state);
   m_store.Finish(request);
   if(read && !sound)
      m_store.Fail("is damaged: its trading",DATABASE_ERR_CORRUPT);
   if(!sound)
      return(false);
   //--- one of a later version is the safe one
   m_trading_state=(state>=0 && state<TRADING_STATE_HALTED ? (uint)state : (uint)TRADING_STATE_HALTED);
   return(true);
  }

bool CLedger::CommitState(const uint state)
  {
   m_trading_state=state;
   if(!m_store.Begin())
      return(false);
   const int update=m_store.Prepare("UPDATE trading SET state=?1 WHERE id=1",true);
   const bool updated=m_store.BindLong(update,0,(long)state) && m_store.Run(update);
   m_store.Finish(update);
   if(updated && m_store.Seal("trading") && m_store.Commit())
      return(true);
   m_store.Rollback();
   return(false);
  }

//+------------------------------------------------------------------+
//| Reading                                                          |
//+------------------------------------------------------------------+
ENUM_LEDGER_LOOK CLedger::Find(const string command_id,SLedgerEntry &entry)
  {
   const int request=m_store.Keep("SELECT * FROM commands WHERE command_id=?1",false);
   const bool bound=m_store.BindText(request,0,command_id);
   const ENUM_LEDGER_LOOK found=(bound ? First(request,entry) : LEDGER_FAILED);
   m_store.Finish(request);
   return(found);
  }

ENUM_LEDGER_LOOK CLedger::FindTag(const string tag,SLedgerEntry &entry)
  {
   const int request=m_store.Keep("SELECT * FROM commands WHERE tag=?1 ORDER BY intent_msc LIMIT 1",false);
   const bool bound=m_store.BindText(request,0,tag);
   const ENUM_LEDGER_LOOK found=(bound ? First(request,entry) : LEDGER_FAILED);
   m_store.Finish(request);
   return(found);
  }

ENUM_LEDGER_LOOK CLedger::FindOrder(const ulong order,SLedgerEntry &entry)
  {
   if(order==0)
      return(LEDGER_ABSENT);
   const int request=m_store.Keep("SELECT * FROM commands WHERE order_ticket=?1 ORDER BY intent_msc",false);
   //--- the column is signed: the bits are those of the ticket
   const bool bound=m_store.BindLong(request,0,(long)order);
   ENUM_LEDGER_LOOK found=(bound ? First(request,entry) : LEDGER_FAILED);
   while(found==LEDGER_FOUND && entry.MadeOrder()!=order)
      found=First(request,entry);
   m_store.Finish(request);
   return(found);
  }

bool CLedger::Unresolved(SLedgerEntry &entries[])
  {
   int count=0;
   bool row=true;
   ArrayFree(entries);
   const int request=m_store.Prepare("SELECT * FROM commands WHERE outcome IN (?1,?2) ORDER BY intent_msc",false);
   bool sound=m_store.BindLong(request,0,(long)OUTCOME_INTENT) && m_store.BindLong(request,1,(long)OUTCOME_UNKNOWN);
   while(sound && row)
     {
      sound=m_store.Next(request,row);
      if(!sound || !row)
         break;
      sound=(ArrayResize(entries,count+1,16)==count+1 && ReadEntry(request,entries[count]));
      count++;
     }
   m_store.Finish(request);
   if(!sound)
      ArrayFree(entries);
   return(sound);
  }

bool CLedger::CountSince(const long server_msc,long &count)
  {
   bool row=false;
   count=0;
   const int request=m_store.Keep("SELECT COUNT(*) FROM commands WHERE intent_msc>?1",false);
   const bool sound=m_store.BindLong(request,0,server_msc) && m_store.Next(request,row) && row &&
                    m_store.Long(request,0,count);
   m_store.Finish(request);
   return(sound);
  }

ENUM_LEDGER_LOOK CLedger::First(const int request,SLedgerEntry &entry)
  {
   bool row=false;
   if(!m_store.Next(request,row))
      return(LEDGER_FAILED);
   if(!row)
      return(LEDGER_ABSENT);
   return(ReadEntry(request,entry) ? LEDGER_FOUND : LEDGER_FAILED);
  }

// The entry of the row that a request stands on.
bool CLedger::ReadEntry(const int request,SLedgerEntry &entry)
  {
   uchar content[];
   uchar attempt[];
   uchar result[];
   string problem="";
   string tag="";
   bool sound=m_store.Text(request,LEDGER_COLUMN_COMMAND_ID,entry.command_id) &&
              m_store.Text(request,LEDGER_COLUMN_TAG,tag) &&
              m_store.Blob(request,LEDGER_COLUMN_CONTENT,content) &&
              m_store.Blob(request,LEDGER_COLUMN_ATTEMPT,attempt) &&
              m_store.Long(request,LEDGER_COLUMN_INTENT_MSC,entry.intent_msc);
   if(!sound)
      return(false);
   sound=m_store.IsSound(request,LEDGER_COMMAND_COLUMNS) && UnpackContent(content,entry) && UnpackAttempt(attempt,entry) &&
         entry.tag==tag;
   entry.has_result=(DatabaseColumnType(request,LEDGER_COLUMN_RESULT)!=DATABASE_FIELD_TYPE_NULL);
   if(sound && entry.has_result)
      sound=m_store.Blob(request,LEDGER_COLUMN_RESULT,result) && entry.result.Unpack(result,problem);
   if(!sound)
      m_store.Fail("cannot be read: the entry of "+PrintableText(entry.command_id)+" is damaged",DATABASE_ERR_CORRUPT);
   return(sound);
  }

bool CLedger::UnpackContent(const uchar &bytes[],SLedgerEntry &entry)
  {
   CMsgPackReader reader;
   string problem="";
   reader.Attach(bytes);
   const int extra=reader.BeginArray(3,"the content");
   entry.tag=reader.Text(LEDGER_TAG_MAX,"tag");
   entry.flags=reader.U32("flags");
   entry.request.Read(reader,"request");
   reader.EndArray(extra);
   return(reader.Finish("content",problem));
  }

// The fields of MqlTradeRequest in its order, and the values before.
bool CLedger::UnpackAttempt(const uchar &bytes[],SLedgerEntry &entry)
  {
   CMsgPackReader reader;
   string problem="";
   reader.Attach(bytes);
   const int extra=reader.BeginArray(2,"the attempt");
   const int more=reader.BeginArray(LEDGER_SENT_FIELDS,"sent");
   entry.sent.action=(ENUM_TRADE_REQUEST_ACTIONS)reader.U8("action");
   entry.sent.magic=reader.U64("magic");
   entry.sent.order=reader.U64("order");
   entry.sent.symbol=reader.Text(LEDGER_TEXT_MAX,"symbol");
   entry.sent.volume=reader.F64("volume");
   entry.sent.price=reader.F64("price");
   entry.sent.stoplimit=reader.F64("stoplimit");
   entry.sent.sl=reader.F64("sl");
   entry.sent.tp=reader.F64("tp");
   entry.sent.deviation=reader.U64("deviation");
   entry.sent.type=(ENUM_ORDER_TYPE)reader.U8("type");
   entry.sent.type_filling=(ENUM_ORDER_TYPE_FILLING)reader.U8("type_filling");
   entry.sent.type_time=(ENUM_ORDER_TYPE_TIME)reader.U8("type_time");
   entry.sent.expiration=(datetime)reader.I64("expiration");
   entry.sent.comment=reader.Text(LEDGER_TEXT_MAX,"comment");
   entry.sent.position=reader.U64("position");
   entry.sent.position_by=reader.U64("position_by");
   reader.EndArray(more);
   const int count=reader.Array(TRADE_BEFORE_MAX,"before");
   ArrayInitialize(entry.before,0.0);
   for(int i=0; i<count && !reader.Failed(); i++)
      entry.before[i]=reader.F64("before");
   entry.before_count=count;
   reader.EndArray(0);
   reader.EndArray(extra);
   return(reader.Finish("attempt",problem));
  }

//+------------------------------------------------------------------+
//| Writing                                                          |
//+------------------------------------------------------------------+
bool CLedger::Write(const SLedgerEntry &entry)
  {
   uchar content[];
   uchar attempt[];
   uchar result[];
   string problem="";
   if(!ContentOf(entry.tag,entry.flags,entry.request,content) || !PackAttempt(entry,attempt) ||
      (entry.has_result && !entry.result.Pack(result,problem)))
     {
      m_store.Fail("cannot be written: the entry of "+PrintableText(entry.command_id)+" cannot be packed "+problem,0);
      return(false);
     }
   if(!m_store.Begin())
      return(false);
   if(Replace(entry,content,attempt,result) && m_store.Commit())
      return(true);
   m_store.Rollback();
   return(false);
  }

bool CLedger::Replace(const SLedgerEntry &entry,const uchar &content[],const uchar &attempt[],const uchar &result[])
  {
   uint crc=0;
   if(!EntryCrc(entry,content,attempt,result,crc))
     {
      m_store.Fail("cannot be written: no memory",0);
      return(false);
     }
   const int request=m_store.Keep((entry.has_result ? "INSERT OR REPLACE INTO commands VALUES(?1,?2,?3,?4,?5,?6,?7,?9,?8)" :
                                   "INSERT OR REPLACE INTO commands VALUES(?1,?2,?3,?4,?5,?6,?7,NULL,?8)"),true);
   const bool written=m_store.BindText(request,0,entry.command_id) && m_store.BindText(request,1,entry.tag) &&
                      m_store.BindBlob(request,2,content) && m_store.BindBlob(request,3,attempt) &&
                      m_store.BindLong(request,4,entry.intent_msc) && m_store.BindLong(request,5,(long)entry.Outcome()) &&
                      m_store.BindLong(request,6,(long)entry.Order()) && m_store.BindLong(request,7,(long)crc) &&
                      (!entry.has_result || m_store.BindBlob(request,8,result)) && m_store.Run(request);
   m_store.Finish(request);
   return(written);
  }

// The checksum over the columns as they will be read: see CDatabase::RowCrc.
bool CLedger::EntryCrc(const SLedgerEntry &entry,const uchar &content[],const uchar &attempt[],const uchar &result[],uint &crc) const
  {
   CMsgPackWriter writer;
   uchar bytes[];
   writer.BeginArray(LEDGER_COMMAND_COLUMNS-1);
   writer.Text(entry.command_id,LEDGER_ID_MAX,"command_id");
   writer.Text(entry.tag,LEDGER_TAG_MAX,"tag");
   writer.Bytes(content,0,ArraySize(content));
   writer.Bytes(attempt,0,ArraySize(attempt));
   writer.Integer(entry.intent_msc);
   writer.Integer((long)entry.Outcome());
   writer.Integer((long)entry.Order());
   if(entry.has_result)
      writer.Bytes(result,0,ArraySize(result));
   else
      writer.Nil();
   if(!writer.ToArray(bytes))
      return(false);
   crc=m_store.Crc(bytes);
   return(true);
  }

bool CLedger::PackAttempt(const SLedgerEntry &entry,uchar &bytes[])
  {
   CMsgPackWriter writer;
   if(entry.before_count<0 || entry.before_count>TRADE_BEFORE_MAX)
      return(false);
   writer.BeginArray(2);
   writer.BeginArray(LEDGER_SENT_FIELDS);
   writer.U8((uint)entry.sent.action,"action");
   writer.U64(entry.sent.magic,"magic");
   writer.U64(entry.sent.order,"order");
   writer.Text(entry.sent.symbol,LEDGER_TEXT_MAX,"symbol");
   writer.F64(entry.sent.volume,"volume");
   writer.F64(entry.sent.price,"price");
   writer.F64(entry.sent.stoplimit,"stoplimit");
   writer.F64(entry.sent.sl,"sl");
   writer.F64(entry.sent.tp,"tp");
   writer.U64(entry.sent.deviation,"deviation");
   writer.U8((uint)entry.sent.type,"type");
   writer.U8((uint)entry.sent.type_filling,"type_filling");
   writer.U8((uint)entry.sent.type_time,"type_time");
   writer.I64((long)entry.sent.expiration,"expiration");
   writer.Text(entry.sent.comment,LEDGER_TEXT_MAX,"comment");
   writer.U64(entry.sent.position,"position");
   writer.U64(entry.sent.position_by,"position_by");
   writer.BeginArray(entry.before_count);
   for(int i=0; i<entry.before_count; i++)
      writer.F64(entry.before[i],"before");
   return(writer.ToArray(bytes));
  }

bool CLedger::ContentOf(const string tag,const uint flags,const SOrderRequest &request,uchar &bytes[])
  {
   CMsgPackWriter writer;
   writer.BeginArray(3);
   writer.Text(tag,LEDGER_TAG_MAX,"tag");
   writer.U32(flags,"flags");
   request.Write(writer,"request");
   return(writer.ToArray(bytes));
  }

// Equal to the last byte; what cannot be packed is equal to nothing.
bool CLedger::SameContent(const SLedgerEntry &entry,const string tag,const uint flags,const SOrderRequest &request)
  {
   uchar known[];
   uchar asked[];
   if(!ContentOf(entry.tag,entry.flags,entry.request,known) || !ContentOf(tag,flags,request,asked) ||
      ArraySize(known)!=ArraySize(asked))
      return(false);
   for(int i=0; i<ArraySize(known); i++)
      if(known[i]!=asked[i])
         return(false);
   return(true);
  }

#endif // BRIDGE_TRADE_LEDGER_MQH
