//+------------------------------------------------------------------+
//|                                                     Identity.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Who this terminal is, kept over restarts in its ledger's file: the incarnation of the ledger, the
// number of its last connection, the highest relay_epoch it has accepted. Also its nonces.
// May touch: LedgerFile.mqh, CryptEncode. No sockets, orders.
//
// Rule 1: a counter is committed to the disk before it is used; a nonce is made of it, and must
// never repeat for a key. Every failure is a false and one sentence in Problem().
// Rule 2: the incarnation is made with the ledger and lost with it: both are one file. Whoever kept
// it elsewhere would say "never seen" of commands that a lost ledger had.
// Rule 3: a terminal whose ledger cannot be used may still stream: UseTransient() gives it an
// incarnation that no ledger has. Durable() is false then, and it must not trade.

#ifndef BRIDGE_SUPPORT_IDENTITY_MQH
#define BRIDGE_SUPPORT_IDENTITY_MQH

#include <Bridge/Support/LedgerFile.mqh>
#include <Bridge/Wire/Hmac.mqh>

#define IDENTITY_INCARNATION_SIZE LEDGER_INCARNATION_SIZE

//+------------------------------------------------------------------+
//| The identity of one alias, login and server                      |
//+------------------------------------------------------------------+
class CIdentity
  {
protected:
   CLedgerFile       m_store;

private:
   bool              m_transient;
   bool              m_moved;
   string            m_problem;        // why it is transient
   uchar             m_incarnation[IDENTITY_INCARNATION_SIZE];
   ulong             m_counter;
   ulong             m_relay_epoch;
   ulong             m_written_epoch;

   bool              Load(void);
   bool              RaiseCounter(long &counter);
   bool              MakeIncarnation(const uchar &key[],const ulong login,const string where,string &hex) const;

public:
                     CIdentity(void);
   virtual bool      Open(const string alias,const ulong login,const string server,const uchar &key[]);
   void              Close(void);
   bool              IsOpen(void) const { return(m_store.IsOpen()); }
   // After Open() or NextConnection() has failed: a connection that streams and does not trade.
   bool              UseTransient(const ulong login,const uchar &key[]);
   bool              IsTransient(void) const { return(m_transient); }
   // Whether the file of version 0.1 became this one's when it was opened.
   bool              WasMoved(void) const { return(m_moved); }
   // Raise the connection counter and commit it; then ConnectionCounter() may be used, once.
   bool              NextConnection(void);
   ulong             ConnectionCounter(void) const { return(m_counter); }
   // Remember the epoch of a relay whose proof was right; lower ones change nothing.
   bool              SeeRelayEpoch(const ulong epoch);
   // The same, written also when it is known.
   bool              CommitEpoch(const ulong epoch);
   ulong             RelayEpochSeen(void) const { return(m_relay_epoch); }
   bool              CopyIncarnation(uchar &out[]) const;  // 16 bytes, also into a static array
   // The 32 bytes of SHA-256 over key, counter, microseconds, login, for HELLO.
   bool              MakeNonce(const uchar &key[],const long now_us,const ulong login,uchar &out[]) const;
   // Whether both pragmas were read back as set: what is committed survives a power failure.
   bool              Durable(void) const { return(m_store.Durable() && !m_transient); }
   string            FileName(void) const { return(m_store.Name()); }
   string            Problem(void) const { return(m_transient ? m_problem : m_store.Problem()); }
   // Why Durable() is false; an empty text when it is true.
   string            DurabilityProblem(void) const { return(m_transient ? m_problem : m_store.DurabilityProblem()); }
  };

CIdentity::CIdentity(void) : m_transient(false),
                             m_moved(false),
                             m_problem(""),
                             m_counter(0),
                             m_relay_epoch(0),
                             m_written_epoch(0)
  {
   ArrayInitialize(m_incarnation,0);
  }

void CIdentity::Close(void)
  {
   m_store.Close();
  }

// Open the file of an alias, a login and a server, or begin a new incarnation.
bool CIdentity::Open(const string alias,const ulong login,const string server,const uchar &key[])
  {
   string incarnation="";
   Close();
   m_transient=false;
   m_counter=0;
   m_relay_epoch=0;
   m_written_epoch=0;
   const string file=CLedgerFile::NameOf(alias,login,server);
   m_moved=CLedgerFile::MoveOld(CLedgerFile::OldNameOf(alias,login),file);
   if(!MakeIncarnation(key,login,file,incarnation))
     {
      m_store.Fail("needs an incarnation, and this terminal cannot hash",0);
      return(false);
     }
   //--- a counter that begins with the seconds since 1970 is higher than all that a lost ledger of
   //--- this terminal used
   if(!m_store.Open(file,incarnation,(long)TimeGMT()))
      return(false);
   if(Load())
      return(true);
   Close();
   return(false);
  }

bool CIdentity::Load(void)
  {
   string hex="";
   long counter=0;
   long epoch=0;
   bool row=false;
   uchar bytes[];
   const int request=m_store.Prepare("SELECT incarnation,connection_counter,relay_epoch_seen FROM identity WHERE id=1",false);
   const bool read=m_store.Next(request,row);
   const bool sound=row && m_store.Text(request,0,hex) && m_store.Long(request,1,counter) && m_store.Long(request,2,epoch);
   m_store.Finish(request);
   if(!read)
      return(false);
   if(!sound || HexToBytes(hex,bytes)!=IDENTITY_INCARNATION_SIZE || counter<0)
     {
      m_store.Fail("is damaged",DATABASE_ERR_CORRUPT);
      return(false);
     }
   if(ArrayCopy(m_incarnation,bytes)!=IDENTITY_INCARNATION_SIZE)
      return(false);
   m_counter=(ulong)counter;
   //--- the column is signed: the bits are those of the epoch
   m_relay_epoch=(ulong)epoch;
   m_written_epoch=m_relay_epoch;
   return(true);
  }

// No ledger has this incarnation, so nobody asks it what became of a command. Its counter begins
// with the clock: what is written goes on from lower numbers, one for each connection.
bool CIdentity::UseTransient(const ulong login,const uchar &key[])
  {
   string hex="";
   uchar bytes[];
   const string problem=Problem();
   if(!MakeIncarnation(key,login,"transient",hex) || HexToBytes(hex,bytes)!=IDENTITY_INCARNATION_SIZE ||
      ArrayCopy(m_incarnation,bytes)!=IDENTITY_INCARNATION_SIZE)
      return(false);
   m_transient=true;
   m_problem=problem;
   const ulong begin=(ulong)TimeGMT();
   m_counter=(m_counter>=begin ? m_counter+1 : begin);
   Close();
   return(true);
  }

bool CIdentity::NextConnection(void)
  {
   long counter=0;
   if(!m_store.Begin())
      return(false);
   if(!RaiseCounter(counter) || !m_store.Seal("identity") || !m_store.Commit())
     {
      m_store.Rollback();
      return(false);
     }
   m_counter=(ulong)counter;
   return(true);
  }

bool CIdentity::RaiseCounter(long &counter)
  {
   bool row=false;
   const int update=m_store.Prepare("UPDATE identity SET connection_counter=connection_counter+1 WHERE id=1",true);
   const bool updated=(update!=INVALID_HANDLE && m_store.Run(update));
   m_store.Finish(update);
   if(!updated)
      return(false);
   const int request=m_store.Prepare("SELECT connection_counter FROM identity WHERE id=1",true);
   const bool read=m_store.Next(request,row);
   const bool raised=row && m_store.Long(request,0,counter) && counter>0 && (ulong)counter>m_counter;
   m_store.Finish(request);
   if(read && !raised)
      m_store.Fail("does not keep what is written",0);
   return(raised);
  }

bool CIdentity::SeeRelayEpoch(const ulong epoch)
  {
   //--- one that could not be written is tried again
   if(epoch<=m_relay_epoch && (m_transient || m_written_epoch==m_relay_epoch))
      return(true);
   return(CommitEpoch(epoch));
  }

bool CIdentity::CommitEpoch(const ulong epoch)
  {
   //--- in memory at once: also when the disk refuses, an older relay is not accepted any more
   if(epoch>m_relay_epoch)
      m_relay_epoch=epoch;
   if(m_transient)
      return(false);
   if(!m_store.Begin())
      return(false);
   const int update=m_store.Prepare("UPDATE identity SET relay_epoch_seen=?1 WHERE id=1",true);
   const bool updated=m_store.BindLong(update,0,(long)m_relay_epoch) && m_store.Run(update);
   m_store.Finish(update);
   if(!updated || !m_store.Seal("identity") || !m_store.Commit())
     {
      m_store.Rollback();
      return(false);
     }
   m_written_epoch=m_relay_epoch;
   return(true);
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
bool CIdentity::MakeIncarnation(const uchar &key[],const ulong login,const string where,string &hex) const
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
   data.AppendText(where);
   if(data.Failed() || !data.ToArray(bytes) || !CSha256::Hash(bytes,hash))
      return(false);
   hex=BytesToHex(hash,0,IDENTITY_INCARNATION_SIZE);
   return(hex!="");
  }

#endif // BRIDGE_SUPPORT_IDENTITY_MQH
