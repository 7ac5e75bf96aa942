//+------------------------------------------------------------------+
//|                                                   LedgerFile.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The SQLite file of a terminal: who it is, its trading state, its commands. This opens it, looks
// whether it can be believed, and commits transactions; CIdentity and CLedger know the rows.
//
// Rule 1: a file is looked at through a connection that only reads, before another one that may
// write changes it. What is doubtful is refused and left as it was found: a ledger that has
// forgotten would say "never seen" of what it executed. SQLite has no checksums, so every row has
// one, and a file beside it, the mark, says how many transactions there were at least.
// Rule 2: durability is not what was asked for but what was read back.
// Every failure is a false and one sentence in Problem().
// May touch: Database.mqh, Database*, File*, the files Bridge\*.sqlite and their marks. No sockets, orders.
// What must change together: this file, Trade\Ledger.mqh, Identity.mqh and bridge/sim/ledger.py.

#ifndef BRIDGE_SUPPORT_LEDGERFILE_MQH
#define BRIDGE_SUPPORT_LEDGERFILE_MQH

#include <Bridge/Support/Database.mqh>
#include <Bridge/Trade/Constants.mqh>

#define LEDGER_FOLDER    "Bridge"
#define LEDGER_MARK_SIZE 12
//--- columns of the table of commands, with the checksum
#define LEDGER_COMMAND_COLUMNS 9

//+------------------------------------------------------------------+
//| One file; one connection at a time                               |
//+------------------------------------------------------------------+
class CLedgerFile : public CDatabase
  {
private:
   int               m_mark;           // handle of the mark
   string            m_durability;
   bool              m_durable;
   bool              m_versioned;      // PRAGMA user_version is kept
   bool              m_checked;        // it could be looked at, or is new
   long              m_commits;        // the last one that this object knows of

   bool              ReadMark(long &commits);
   bool              WriteMark(void);
   bool              Recover(void);
   bool              Inspect(const long mark);
   bool              Look(const long mark);
   bool              LookAtRows(void);
   bool              LookAtTable(const string name,const string sql);
   bool              OpenToWrite(const string incarnation,const long counter);
   void              CheckDurability(void);
   bool              MakeTables(const string incarnation,const long counter);
   bool              MakeRows(const string incarnation,const long counter);
   bool              ReadCheck(const string name,long &value,long &crc,bool &found);
   bool              PutCheck(const string name,const long value,const uint crc);
   bool              CommitsCrc(const long commits,uint &crc) const;
   bool              CountCommit(long &next);

public:
                     CLedgerFile(void);
                    ~CLedgerFile(void);
   // Open a file, or make one with this incarnation and counter.
   bool              Open(const string file,const string incarnation,const long counter);
   void              Close(void);
   // Whether what is committed survives a power failure, as far as it was read back; else why not.
   bool              Durable(void) const { return(m_durable); }
   string            DurabilityProblem(void) const { return(m_durability); }
   //--- transactions: Begin, statements, Commit; Rollback after a failure
   bool              Begin(void);
   bool              Commit(void);
   void              Rollback(void);
   // Make the checksum of the only row of "identity" or "trading" anew, in a transaction.
   bool              Seal(const string table);
   // What every file system takes: the name of the file of an alias, a login and a server.
   static string     NameOf(const string alias,const ulong login,const string server);
   static string     OldNameOf(const string alias,const ulong login);
   static string     SafeName(const string text);
   // Take over the file of version 0.1, whose name had no server. It may have to stay where it is.
   static bool       MoveOld(const string old,const string file);
  };

CLedgerFile::CLedgerFile(void) : m_mark(INVALID_HANDLE),
                                 m_durability("not looked at yet"),
                                 m_durable(false),
                                 m_versioned(false),
                                 m_checked(false),
                                 m_commits(0)
  {
  }

CLedgerFile::~CLedgerFile(void)
  {
   Close();
  }

void CLedgerFile::Close(void)
  {
   const int mark=m_mark;
   m_mark=INVALID_HANDLE;
   Disconnect();
   if(mark!=INVALID_HANDLE)
      FileClose(mark);
  }

//+------------------------------------------------------------------+
//| Names                                                            |
//+------------------------------------------------------------------+

// Only what every file system takes: the relay allows no other aliases anyway.
string CLedgerFile::SafeName(const string text)
  {
   string name="";
   for(int i=0; i<StringLen(text) && i<64; i++)
     {
      const ushort c=StringGetCharacter(text,i);
      const bool safe=((c>='a' && c<='z') || (c>='A' && c<='Z') || (c>='0' && c<='9') || c=='-' || c=='_');
      name+=(safe ? StringSubstr(text,i,1) : "_");
     }
   return(name);
  }

// Two brokers may have an account of the same number: each has its own ledger.
string CLedgerFile::NameOf(const string alias,const ulong login,const string server)
  {
   CCrc32 crc;
   uchar bytes[];
   string name=SafeName(server);
   //--- a name that was changed may be that of another server too
   if(name!=server && TextToUtf8(server,bytes)>=0)
      name+=StringFormat("-%08x",crc.Of(bytes));
   return(StringFormat("%s\\%s-%I64u-%s.sqlite",LEDGER_FOLDER,SafeName(alias),login,name));
  }

string CLedgerFile::OldNameOf(const string alias,const ulong login)
  {
   return(StringFormat("%s\\%s-%I64u.sqlite",LEDGER_FOLDER,SafeName(alias),login));
  }

// The incarnation goes with its file or is lost: copying it would leave two of them. False: it
// stays, and whoever opens the new name begins as a new terminal, which is safe.
bool CLedgerFile::MoveOld(const string old,const string file)
  {
   if(!FileIsExist(old) || FileIsExist(file))
      return(false);
   //--- its log, where there is one, must be in it before it is moved
   const int database=DatabaseOpen(old,DATABASE_OPEN_READWRITE);
   if(database==INVALID_HANDLE)
      return(false);
   const bool whole=DatabaseExecute(database,"PRAGMA journal_mode=DELETE");
   DatabaseClose(database);
   return(whole && !FileIsExist(old+"-wal") && FileMove(old,0,file,0));
  }

//+------------------------------------------------------------------+
//| Opening                                                          |
//+------------------------------------------------------------------+
bool CLedgerFile::Open(const string file,const string incarnation,const long counter)
  {
   Close();
   long mark=0;
   m_file=file;
   m_problem="";
   m_durable=false;
   m_durability="not looked at yet";
   m_versioned=false;
   m_checked=true;
   m_writes=false;
   m_commits=0;
   //--- it may be there already; when it cannot be made, the file cannot be opened either
   ResetLastError();
   const int folder_error=(FolderCreate(LEDGER_FOLDER) ? 0 : GetLastError());
   //--- an empty file, or none, is a new ledger: nobody takes it for the one that is lost
   if(FileIsExist(m_file) && FileGetInteger(m_file,FILE_SIZE)!=0 && (!ReadMark(mark) || !Recover() || !Inspect(mark)))
      return(false);
   if(!Connect(DATABASE_OPEN_READWRITE|DATABASE_OPEN_CREATE,folder_error))
      return(false);
   if(OpenToWrite(incarnation,counter))
      return(true);
   Close();
   return(false);
  }

bool CLedgerFile::OpenToWrite(const string incarnation,const long counter)
  {
   long version=0;
   long crc=0;
   bool found=false;
   CheckDurability();
   const string problem=m_problem;
   const bool known=ReadLong("PRAGMA user_version",version);
   m_problem=problem;
   if((!known || version<LEDGER_SCHEMA_VERSION) && !MakeTables(incarnation,counter))
      return(false);
   //--- read back as well: a version that is not kept would be an unchecked file at the next start
   version=0;
   m_versioned=(ReadLong("PRAGMA user_version",version) && version==LEDGER_SCHEMA_VERSION);
   m_problem=problem;
   if(m_durable && (!m_versioned || !m_checked))
     {
      m_durable=false;
      m_durability=(m_checked ? "the database does not keep PRAGMA user_version" : "the database has no PRAGMA integrity_check");
     }
   if(!ReadCheck("commits",m_commits,crc,found))
      return(false);
   if(!found)
     {
      Fail("is damaged",DATABASE_ERR_CORRUPT);
      return(false);
     }
   //--- a file that may not be written is refused now, not at the first order
   if(!Begin())
      return(false);
   const bool writable=Execute("UPDATE checks SET value=value WHERE name='commits'");
   Rollback();
   return(writable && WriteMark());
  }

// PRAGMA is not in the documentation of Database*: so it is set, and believed only when read back.
void CLedgerFile::CheckDurability(void)
  {
   string journal="";
   long synchronous=-1;
   const string before=m_problem;
   ResetLastError();
   if(!DatabaseExecute(m_database,"PRAGMA journal_mode=WAL"))
      m_durability=StringFormat("PRAGMA journal_mode was refused (error %d)",GetLastError());
   ResetLastError();
   if(!DatabaseExecute(m_database,"PRAGMA synchronous=FULL"))
      m_durability=StringFormat("PRAGMA synchronous was refused (error %d)",GetLastError());
   const bool known=ReadText("PRAGMA journal_mode",journal) && StringToLower(journal);
   //--- a journal that is deleted must not come back: only EXTRA syncs its folder
   const bool deleted=(known && journal=="delete");
   if(deleted && !DatabaseExecute(m_database,"PRAGMA synchronous=EXTRA"))
      m_durability="PRAGMA synchronous was refused";
   const bool sound=known && ReadLong("PRAGMA synchronous",synchronous);
   m_problem=before;
   m_durable=(sound && ((deleted && synchronous>=3) ||
                        (synchronous>=2 && (journal=="wal" || journal=="truncate" || journal=="persist"))));
   if(m_durable)
      m_durability="";
   else
      if(sound)
         m_durability=StringFormat("the database works with journal_mode %s and synchronous %I64d",journal,synchronous);
  }

// New ones, or those of version 0.1, which had the identity alone.
bool CLedgerFile::MakeTables(const string incarnation,const long counter)
  {
   if(!Begin())
      return(false);
   if(MakeRows(incarnation,counter) && Commit())
      return(true);
   Rollback();
   return(false);
  }

bool CLedgerFile::MakeRows(const string incarnation,const long counter)
  {
   uint crc=0;
   if(!Execute("CREATE TABLE IF NOT EXISTS identity(id INTEGER PRIMARY KEY CHECK(id=1),"
               "incarnation TEXT NOT NULL,connection_counter INTEGER NOT NULL,"
               "relay_epoch_seen INTEGER NOT NULL)") ||
      !Execute("CREATE TABLE IF NOT EXISTS trading(id INTEGER PRIMARY KEY CHECK(id=1),state INTEGER NOT NULL)") ||
      !Execute("CREATE TABLE IF NOT EXISTS commands(command_id TEXT PRIMARY KEY,tag TEXT NOT NULL,"
               "content BLOB NOT NULL,attempt BLOB NOT NULL,intent_msc INTEGER NOT NULL,"
               "outcome INTEGER NOT NULL,order_ticket INTEGER NOT NULL,result BLOB,"
               "crc INTEGER NOT NULL) WITHOUT ROWID") ||
      !Execute("CREATE TABLE IF NOT EXISTS checks(name TEXT PRIMARY KEY,value INTEGER NOT NULL,"
               "crc INTEGER NOT NULL) WITHOUT ROWID") ||
      !Execute("CREATE INDEX IF NOT EXISTS commands_tag ON commands(tag)") ||
      !Execute("CREATE INDEX IF NOT EXISTS commands_order ON commands(order_ticket)") ||
      !Execute("CREATE INDEX IF NOT EXISTS commands_outcome ON commands(outcome)") ||
      !Execute("CREATE INDEX IF NOT EXISTS commands_intent ON commands(intent_msc)"))
      return(false);
   const int request=Prepare("INSERT OR IGNORE INTO identity VALUES(1,?1,?2,0)",true);
   const bool inserted=BindText(request,0,incarnation) && BindLong(request,1,counter) && Run(request);
   Finish(request);
   if(!inserted || !Execute("INSERT OR IGNORE INTO trading VALUES(1,0)") || !Seal("identity") || !Seal("trading"))
      return(false);
   //--- a database whose pragmas are refused is not durable: nothing trades with it
   if(m_durable && !Execute(StringFormat("PRAGMA user_version=%d",LEDGER_SCHEMA_VERSION)))
      return(false);
   if(!CommitsCrc(0,crc))
      return(false);
   const int first=Prepare("INSERT OR IGNORE INTO checks VALUES('commits',0,?1)",true);
   const bool counted=BindLong(first,0,(long)crc) && Run(first);
   Finish(first);
   return(counted);
  }

//+------------------------------------------------------------------+
//| Whether it can be believed                                       |
//+------------------------------------------------------------------+

// A transaction that a loss of power cut off, while the file had no write-ahead log yet, has to be
// taken back before anything can be read, and a connection that only reads cannot.
bool CLedgerFile::Recover(void)
  {
   long tables=0;
   if(!FileIsExist(m_file+"-journal"))
      return(true);
   if(!Connect(DATABASE_OPEN_READWRITE,0))
      return(false);
   const bool readable=ReadLong("SELECT count(*) FROM sqlite_master",tables);
   Disconnect();
   return(readable);
  }

// Look at what is there through a connection that cannot change it.
bool CLedgerFile::Inspect(const long mark)
  {
   if(!Connect(DATABASE_OPEN_READONLY,0))
      return(false);
   const bool sound=Look(mark);
   Disconnect();
   return(sound);
  }

bool CLedgerFile::Look(const long mark)
  {
   long version=0;
   long tables=0;
   long commits=0;
   long crc=0;
   bool found=false;
   string integrity="";
   if(!ReadLong("PRAGMA user_version",version))
     {
      //--- no database, or no pragmas: then it is not durable, and nothing trades with it
      if(!ReadLong("SELECT count(*) FROM sqlite_master",tables))
         return(false);
      m_problem="";
      m_checked=false;
      return(true);
     }
   if(version!=0 && version!=LEDGER_SCHEMA_VERSION)
     {
      Fail(StringFormat("is a ledger of version %I64d, this program knows %d%s",version,LEDGER_SCHEMA_VERSION,
                        (version>LEDGER_SCHEMA_VERSION ? ": use the newer program" : DATABASE_MOVE_AWAY)),0);
      return(false);
     }
   //--- also the indexes: an entry that is not found by its tag counts as not executed
   if(!ReadText("PRAGMA integrity_check(1)",integrity) && m_problem!="")
      return(false);
   m_checked=(integrity!="");
   if(m_checked && integrity!="ok")
     {
      Fail("is damaged",DATABASE_ERR_CORRUPT);
      return(false);
     }
   if(version==LEDGER_SCHEMA_VERSION)
     {
      if(!LookAtRows() || !LookAtTable("identity","SELECT * FROM identity") ||
         !LookAtTable("trading","SELECT * FROM trading") || !ReadCheck("commits",commits,crc,found))
         return(false);
      uint expected=0;
      if(!found || commits<0 || !CommitsCrc(commits,expected) || crc!=(long)expected)
        {
         Fail("is damaged: the number of its transactions",DATABASE_ERR_CORRUPT);
         return(false);
        }
     }
   if(commits<mark)
     {
      Fail(StringFormat("ends at transaction %I64d, but had %I64d: it is an older copy, or the end of its log is lost%s",
                        commits,mark,DATABASE_MOVE_AWAY),0);
      return(false);
     }
   return(true);
  }

bool CLedgerFile::LookAtRows(void)
  {
   const int request=Prepare("SELECT * FROM commands",false);
   bool row=true;
   bool sound=(request!=INVALID_HANDLE);
   while(sound && row)
     {
      sound=Next(request,row);
      if(sound && row && !IsSound(request,LEDGER_COMMAND_COLUMNS))
        {
         string command_id="";
         if(!Text(request,0,command_id))
            command_id="?";
         Fail("is damaged: the entry of "+PrintableText(command_id),DATABASE_ERR_CORRUPT);
         sound=false;
        }
     }
   Finish(request);
   return(sound);
  }

// The only row of a table, and its checksum in the table of checks.
bool CLedgerFile::LookAtTable(const string name,const string sql)
  {
   long value=0;
   long crc=0;
   bool found=false;
   bool row=false;
   uint expected=0;
   if(!ReadCheck(name,value,crc,found))
      return(false);
   const int request=Prepare(sql,false);
   const bool read=(request!=INVALID_HANDLE && Next(request,row));
   const bool sound=(read && row && found && RowCrc(request,DatabaseColumnsCount(request),expected) && crc==(long)expected);
   Finish(request);
   if(read && !sound)
      Fail("is damaged: its "+name,DATABASE_ERR_CORRUPT);
   return(sound);
  }

//+------------------------------------------------------------------+
//| The mark: how many transactions somebody was told of             |
//+------------------------------------------------------------------+

// It is not synced: after a power failure it may be behind, never ahead.
bool CLedgerFile::ReadMark(long &commits)
  {
   uchar bytes[];
   uchar body[];
   commits=0;
   if(!FileIsExist(m_file+".mark"))
      return(true);
   ResetLastError();
   const int handle=FileOpen(m_file+".mark",FILE_READ|FILE_BIN|FILE_SHARE_READ|FILE_SHARE_WRITE);
   if(handle==INVALID_HANDLE)
     {
      Fail("has a .mark that cannot be opened",GetLastError());
      return(false);
     }
   const int size=(int)FileReadArray(handle,bytes,0,LEDGER_MARK_SIZE);
   FileClose(handle);
   bool empty=true;
   for(int i=0; i<size; i++)
      empty=empty && bytes[i]==0;
   if(empty)
      return(true);
   commits=(long)GetU64LE(bytes,0);
   if(size==LEDGER_MARK_SIZE && commits>=0 && ArrayCopy(body,bytes,0,0,8)==8 && m_crc.Of(body)==GetU32LE(bytes,8))
      return(true);
   Fail("has a damaged .mark: if the ledger is no older copy, delete the .mark",0);
   return(false);
  }

bool CLedgerFile::WriteMark(void)
  {
   uchar bytes[LEDGER_MARK_SIZE];
   //--- a file whose version is not kept is not checked either
   if(!m_versioned)
      return(true);
   PutU64LE(bytes,0,(ulong)m_commits);
   PutU32LE(bytes,8,m_crc.Update(0,bytes,0,8));
   ResetLastError();
   if(m_mark==INVALID_HANDLE)
      m_mark=FileOpen(m_file+".mark",FILE_READ|FILE_WRITE|FILE_BIN|FILE_SHARE_READ|FILE_SHARE_WRITE);
   if(m_mark!=INVALID_HANDLE && FileSeek(m_mark,0,SEEK_SET) && FileWriteArray(m_mark,bytes)==LEDGER_MARK_SIZE)
     {
      FileFlush(m_mark);
      return(true);
     }
   Fail("has a .mark that cannot be written",GetLastError());
   return(false);
  }

//+------------------------------------------------------------------+
//| Transactions                                                     |
//+------------------------------------------------------------------+
bool CLedgerFile::Begin(void)
  {
   if(m_database==INVALID_HANDLE)
     {
      m_problem="the ledger is not open";
      return(false);
     }
   m_writes=true;
   if(DatabaseTransactionBegin(m_database))
      return(true);
   //--- one that could not be rolled back is in the way
   Rollback();
   ResetLastError();
   if(DatabaseTransactionBegin(m_database))
      return(true);
   FailSql(GetLastError());
   return(false);
  }

// The end of a transaction, which is counted; the mark says so before anybody is told.
bool CLedgerFile::Commit(void)
  {
   long next=0;
   if(CountCommit(next))
     {
      ResetLastError();
      if(DatabaseTransactionCommit(m_database))
        {
         m_commits=next;
         return(WriteMark());
        }
      FailSql(GetLastError());
     }
   Rollback();
   return(false);
  }

// The number of this transaction. Another program may have written one too.
bool CLedgerFile::CountCommit(long &next)
  {
   long last=0;
   long crc=0;
   bool found=false;
   uint expected=0;
   if(!ReadCheck("commits",last,crc,found) || !CommitsCrc(last,expected))
      return(false);
   if(!found || last<m_commits || crc!=(long)expected)
     {
      Fail("does not keep what is written",0);
      return(false);
     }
   next=last+1;
   return(CommitsCrc(next,expected) && PutCheck("commits",next,expected));
  }

// After many failures SQLite has done so itself: what it says to that is of no interest.
void CLedgerFile::Rollback(void)
  {
   if(m_database!=INVALID_HANDLE && !DatabaseTransactionRollback(m_database))
      ResetLastError();
  }

bool CLedgerFile::Seal(const string table)
  {
   uint crc=0;
   bool row=false;
   const string sql=(table=="identity" ? "SELECT * FROM identity" : "SELECT * FROM trading");
   const int request=Prepare(sql,true);
   const bool read=(request!=INVALID_HANDLE && Next(request,row));
   const bool sound=(read && row && RowCrc(request,DatabaseColumnsCount(request),crc));
   Finish(request);
   if(read && !sound)
      Fail("is damaged: its "+table,DATABASE_ERR_CORRUPT);
   return(sound && PutCheck(table,0,crc));
  }

bool CLedgerFile::ReadCheck(const string name,long &value,long &crc,bool &found)
  {
   const int request=Keep("SELECT value,crc FROM checks WHERE name=?1",m_writes);
   found=false;
   bool sound=BindText(request,0,name) && Next(request,found);
   if(sound && found)
      sound=Long(request,0,value) && Long(request,1,crc);
   Finish(request);
   return(sound);
  }

bool CLedgerFile::PutCheck(const string name,const long value,const uint crc)
  {
   const int request=Keep("INSERT OR REPLACE INTO checks VALUES(?1,?2,?3)",true);
   const bool put=BindText(request,0,name) && BindLong(request,1,value) && BindLong(request,2,(long)crc) && Run(request);
   Finish(request);
   return(put);
  }

bool CLedgerFile::CommitsCrc(const long commits,uint &crc) const
  {
   CMsgPackWriter writer;
   uchar bytes[];
   writer.BeginArray(2);
   writer.String("commits");
   writer.Integer(commits);
   if(!writer.ToArray(bytes))
      return(false);
   crc=m_crc.Of(bytes);
   return(true);
  }

#endif // BRIDGE_SUPPORT_LEDGERFILE_MQH
