//+------------------------------------------------------------------+
//|                                                     Identity.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Who this terminal is, kept over restarts in SQLite: the incarnation of its ledger, the number of
// its last connection, the highest relay_epoch it has accepted. Also its nonces.
// May touch: Database*, CryptEncode, the file Bridge\<alias>-<login>.sqlite. No sockets, orders.
// Rule: a counter is committed to the disk before it is used; a nonce is made of it, and must
// never repeat for a key. Every failure is a false and one sentence in Problem().

#ifndef BRIDGE_SUPPORT_IDENTITY_MQH
#define BRIDGE_SUPPORT_IDENTITY_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Wire/Hmac.mqh>

#define IDENTITY_INCARNATION_SIZE 16

//+------------------------------------------------------------------+
//| The identity of one alias and login.                             |
//+------------------------------------------------------------------+
class CIdentity
  {
public:
                     CIdentity(void);
                    ~CIdentity(void);
   bool              Open(const string alias,const ulong login,const uchar &key[]);
   void              Close(void);
   bool              IsOpen(void) const { return(m_database!=INVALID_HANDLE); }
   // Raise the connection counter and commit it; then ConnectionCounter() may be used, once.
   bool              NextConnection(void);
   ulong             ConnectionCounter(void) const { return(m_counter); }
   // Remember the epoch of a relay whose proof was right; lower ones change nothing.
   bool              SeeRelayEpoch(const ulong epoch);
   ulong             RelayEpochSeen(void) const { return(m_relay_epoch); }
   bool              CopyIncarnation(uchar &out[]) const;  // 16 bytes, also into a static array
   // The 32 bytes of SHA-256 over key, counter, microseconds, login, for HELLO.
   bool              MakeNonce(const uchar &key[],const long now_us,const ulong login,uchar &out[]) const;
   // Whether both pragmas were read back as set: what is committed survives a power failure.
   bool              Durable(void) const { return(m_durable); }
   int               Database(void) const { return(m_database); } // for the ledger
   string            FileName(void) const { return(m_file); }
   string            Problem(void) const { return(m_problem); }
   // Why Durable() is false; an empty text when it is true.
   string            DurabilityProblem(void) const { return(m_durability); }

private:
   int               m_database;
   string            m_file;
   string            m_problem;
   string            m_durability;
   bool              m_durable;
   uchar             m_incarnation[IDENTITY_INCARNATION_SIZE];
   ulong             m_counter;
   ulong             m_relay_epoch;

   bool              Execute(const string sql,const string what);
   bool              ReadLong(const string sql,long &value);
   bool              ReadText(const string sql,string &value);
   bool              Load(void);
   bool              MakeIncarnation(const uchar &key[],const ulong login,string &hex) const;
   void              CheckDurability(void);
   void              Fail(const string what,const int error);
   string            SafeName(const string alias) const;
  };

#define IDENTITY_FOLDER "Bridge"
//--- numbers of MQL5's table of runtime errors: SQLite's own are 5600 and its code
#define IDENTITY_ERR_BUSY     5605
#define IDENTITY_ERR_LOCKED   5606
#define IDENTITY_ERR_READONLY 5608
#define IDENTITY_ERR_CORRUPT  5611
#define IDENTITY_ERR_FULL     5613
#define IDENTITY_ERR_NOTADB   5626

CIdentity::CIdentity(void) : m_database(INVALID_HANDLE),m_file(""),m_problem(""),m_durability("not looked at yet"),
                             m_durable(false),m_counter(0),m_relay_epoch(0)
  {
   ArrayInitialize(m_incarnation,0);
  }

CIdentity::~CIdentity(void)
  {
   Close();
  }

void CIdentity::Close(void)
  {
   if(m_database==INVALID_HANDLE)
      return;
   int database=m_database;
   m_database=INVALID_HANDLE;
   DatabaseClose(database);
  }

// Only what every file system takes: the relay allows no other aliases anyway.
string CIdentity::SafeName(const string alias) const
  {
   string name="";
   for(int i=0; i<StringLen(alias) && i<64; i++)
     {
      ushort c=StringGetCharacter(alias,i);
      bool safe=((c>='a' && c<='z') || (c>='A' && c<='Z') || (c>='0' && c<='9') || c=='-' || c=='_');
      name+=(safe ? StringSubstr(alias,i,1) : "_");
     }
   return(name);
  }

// Open the file of an alias and a login, or begin a new incarnation. False: do not log on.
bool CIdentity::Open(const string alias,const ulong login,const uchar &key[])
  {
   Close();
   m_problem="";
   m_counter=0;
   m_relay_epoch=0;
   m_durable=false;
   m_durability="not looked at yet";
   m_file=StringFormat("%s\\%s-%I64u.sqlite",IDENTITY_FOLDER,SafeName(alias),login);
   //--- it may be there already; when it cannot be made, the file cannot be opened either
   ResetLastError();
   int folder_error=(FolderCreate(IDENTITY_FOLDER) ? 0 : GetLastError());
   ResetLastError();
   m_database=DatabaseOpen(m_file,DATABASE_OPEN_READWRITE|DATABASE_OPEN_CREATE);
   if(m_database==INVALID_HANDLE)
     {
      int error=GetLastError();
      Fail("cannot be opened",(error!=0 ? error : folder_error));
      return(false);
     }
   CheckDurability();
   string incarnation="";
   if(!MakeIncarnation(key,login,incarnation))
     {
      Fail("needs an incarnation, and this terminal cannot hash",0);
      Close();
      return(false);
     }
   bool sound=Execute("CREATE TABLE IF NOT EXISTS identity(id INTEGER PRIMARY KEY CHECK(id=1),"
                      "incarnation TEXT NOT NULL,connection_counter INTEGER NOT NULL,relay_epoch_seen INTEGER NOT NULL)","cannot be written");
   if(sound)
      sound=Execute("INSERT OR IGNORE INTO identity VALUES(1,'"+incarnation+"',0,0)","cannot be written");
   if(sound)
      sound=Load();
   if(!sound)
      Close();
   return(sound);
  }

bool CIdentity::Load(void)
  {
   string hex="";
   long counter=0;
   long epoch=0;
   uchar bytes[];
   if(!ReadText("SELECT incarnation FROM identity WHERE id=1",hex) ||
      !ReadLong("SELECT connection_counter FROM identity WHERE id=1",counter) ||
      !ReadLong("SELECT relay_epoch_seen FROM identity WHERE id=1",epoch))
      return(false);
   if(HexToBytes(hex,bytes)!=IDENTITY_INCARNATION_SIZE || counter<0)
     {
      Fail("is damaged",IDENTITY_ERR_CORRUPT);
      return(false);
     }
   if(ArrayCopy(m_incarnation,bytes)!=IDENTITY_INCARNATION_SIZE)
      return(false);
   m_counter=(ulong)counter;
   //--- the column is signed: the bits are those of the epoch
   m_relay_epoch=(ulong)epoch;
   return(true);
  }

bool CIdentity::NextConnection(void)
  {
   long counter=0;
   if(m_database==INVALID_HANDLE)
     {
      m_problem="the identity is not open";
      return(false);
     }
   if(!Execute("UPDATE identity SET connection_counter=connection_counter+1 WHERE id=1","cannot be written") ||
      !ReadLong("SELECT connection_counter FROM identity WHERE id=1",counter))
      return(false);
   if(counter<=0 || (ulong)counter<=m_counter)
     {
      Fail("does not keep what is written",0);
      return(false);
     }
   m_counter=(ulong)counter;
   return(true);
  }

bool CIdentity::SeeRelayEpoch(const ulong epoch)
  {
   if(epoch<=m_relay_epoch)
      return(true);
   if(m_database==INVALID_HANDLE)
     {
      m_problem="the identity is not open";
      return(false);
     }
   //--- in memory at once: also when the disk refuses, an older relay is not accepted any more
   m_relay_epoch=epoch;
   return(Execute(StringFormat("UPDATE identity SET relay_epoch_seen=%I64d WHERE id=1",(long)epoch),"cannot be written"));
  }

bool CIdentity::CopyIncarnation(uchar &out[]) const
  {
   if(ArraySize(out)!=IDENTITY_INCARNATION_SIZE && ArrayResize(out,IDENTITY_INCARNATION_SIZE)!=IDENTITY_INCARNATION_SIZE)
      return(false);
   return(ArrayCopy(out,m_incarnation)==IDENTITY_INCARNATION_SIZE);
  }

bool CIdentity::MakeNonce(const uchar &key[],const long now_us,const ulong login,uchar &out[]) const
  {
   CByteBuffer data;
   uchar bytes[];
   uchar hash[];
   data.AppendAll(key);
   data.U64LE(m_counter);
   data.U64LE((ulong)now_us);
   data.U64LE(login);
   if(data.Failed() || !data.ToArray(bytes) || !CSha256::Hash(bytes,hash))
      return(false);
   if(ArraySize(out)!=SHA256_SIZE && ArrayResize(out,SHA256_SIZE)!=SHA256_SIZE)
      return(false);
   return(ArrayCopy(out,hash,0,0,SHA256_SIZE)==SHA256_SIZE);
  }

// MQL5 has no randomness: whatever differs between two terminals and two moments is hashed.
bool CIdentity::MakeIncarnation(const uchar &key[],const ulong login,string &hex) const
  {
   CByteBuffer data;
   uchar bytes[];
   uchar hash[];
   data.AppendAll(key);
   data.U64LE(login);
   data.U64LE((ulong)GetMicrosecondCount());
   data.U64LE((ulong)GetTickCount64());
   data.U64LE((ulong)TimeLocal());
   data.U64LE((ulong)TimeGMT());
   data.AppendText(TerminalInfoString(TERMINAL_DATA_PATH));
   data.AppendText(m_file);
   if(data.Failed() || !data.ToArray(bytes) || !CSha256::Hash(bytes,hash))
      return(false);
   hex=BytesToHex(hash,0,IDENTITY_INCARNATION_SIZE);
   return(hex!="");
  }

// PRAGMA is not in the documentation of Database*: so it is set, and believed only when read back.
void CIdentity::CheckDurability(void)
  {
   string journal="";
   long synchronous=-1;
   string before=m_problem;
   ResetLastError();
   if(!DatabaseExecute(m_database,"PRAGMA journal_mode=WAL"))
      m_durability=StringFormat("PRAGMA journal_mode was refused (error %d)",GetLastError());
   ResetLastError();
   if(!DatabaseExecute(m_database,"PRAGMA synchronous=FULL"))
      m_durability=StringFormat("PRAGMA synchronous was refused (error %d)",GetLastError());
   bool sound=ReadText("PRAGMA journal_mode",journal) && ReadLong("PRAGMA synchronous",synchronous);
   m_problem=before;
   StringToLower(journal);
   m_durable=(sound && synchronous>=2 && (journal=="wal" || journal=="delete" || journal=="truncate" || journal=="persist"));
   if(m_durable)
      m_durability="";
   else
      if(sound)
         m_durability=StringFormat("the database works with journal_mode %s and synchronous %I64d",journal,synchronous);
  }

bool CIdentity::Execute(const string sql,const string what)
  {
   ResetLastError();
   if(DatabaseExecute(m_database,sql))
      return(true);
   Fail(what,GetLastError());
   return(false);
  }

bool CIdentity::ReadLong(const string sql,long &value)
  {
   ResetLastError();
   int request=DatabasePrepare(m_database,sql);
   if(request==INVALID_HANDLE)
     {
      Fail("cannot be read",GetLastError());
      return(false);
     }
   bool sound=DatabaseRead(request);
   if(sound)
      sound=DatabaseColumnLong(request,0,value);
   int error=(sound ? 0 : GetLastError());
   DatabaseFinalize(request);
   if(!sound)
      Fail("cannot be read",error);
   return(sound);
  }

bool CIdentity::ReadText(const string sql,string &value)
  {
   ResetLastError();
   int request=DatabasePrepare(m_database,sql);
   if(request==INVALID_HANDLE)
     {
      Fail("cannot be read",GetLastError());
      return(false);
     }
   bool sound=DatabaseRead(request);
   if(sound)
      sound=DatabaseColumnText(request,0,value);
   int error=(sound ? 0 : GetLastError());
   DatabaseFinalize(request);
   if(!sound)
      Fail("cannot be read",error);
   return(sound);
  }

void CIdentity::Fail(const string what,const int error)
  {
   string advice="";
   switch(error)
     {
      case IDENTITY_ERR_BUSY:
      case IDENTITY_ERR_LOCKED:
         advice=": another program uses it; attach the bridge to one chart only";
         break;
      case IDENTITY_ERR_READONLY:
         advice=": it is read-only; change that in its properties";
         break;
      case IDENTITY_ERR_CORRUPT:
      case IDENTITY_ERR_NOTADB:
         advice=": move it away; the terminal then begins as a new one";
         break;
      case IDENTITY_ERR_FULL:
         advice=": the disk is full";
         break;
     }
   m_problem="the file MQL5\\Files\\"+m_file+" "+what;
   if(error!=0)
      m_problem+=StringFormat(" (error %d)",error);
   m_problem+=advice;
  }

#endif // BRIDGE_SUPPORT_IDENTITY_MQH
