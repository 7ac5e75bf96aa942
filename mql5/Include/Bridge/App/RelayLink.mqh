//+------------------------------------------------------------------+
//|                                                    RelayLink.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The way to the relay: ledger, connection, session, and when to dial again.
//
// Everything that ends the connection is a false here; the caller then calls Over(), once, before
// it dials again. What people should know is said to the log and kept in Status().

#ifndef BRIDGE_APP_RELAYLINK_MQH
#define BRIDGE_APP_RELAYLINK_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Support/Clock.mqh>
#include <Bridge/Support/Log.mqh>
#include <Bridge/Wire/Spec.mqh>
#include <Bridge/Wire/Messages.mqh>
#include <Bridge/Wire/Session.mqh>
#include <Bridge/Net/SocketTransport.mqh>
#include <Bridge/Net/BackOff.mqh>
#include <Bridge/Trade/Ledger.mqh>
#include <Bridge/App/Settings.mqh>
#include <Bridge/App/Account.mqh>
#include <Bridge/App/Advice.mqh>

//--- handed to the socket at a time, about: more cannot be overtaken any more
#define LINK_SEND_LIMIT   16384
#define LINK_RECEIVE_SIZE 65536
#define LINK_CONNECT_MS   2000
//--- how long the relay has to close after the last frame
#define LINK_CLOSE_US     500000
//--- tries to hand out the last frame, and how long they may take together. MetaTrader allows 2.5 s
//--- for all, and Windows may add half a second to a time-out.
#define LINK_LAST_FLUSHES 64
#define LINK_LAST_MS      500
//--- after another program with our identity took our place
#define LINK_TWIN_US      60000000
//--- between two looks at a ledger that cannot be used, at first and at most: another program may have
//--- had it for a moment only, and until it is back no position can be closed
#define LINK_PROBE_US     1000000
#define LINK_PROBE_MAX_US 60000000
//--- no account has this login
#define LINK_NO_LOGIN     0

//+------------------------------------------------------------------+
//| One connection at a time                                         |
//+------------------------------------------------------------------+
class CRelayLink
  {
public:
   CSession          m_session;
   CLedger           m_ledger;

private:
   SSettings         m_settings;
   CLog             *m_log;
   CClock            m_clock;
   CSocketTransport  m_transport;
   CBackOff          m_back_off;
   ulong             m_ledger_login;    // whose ledger is open
   string            m_ledger_server;
   long              m_next_probe_us;   // of a ledger that cannot be used
   long              m_probe_wait_us;   // doubled with each that was in vain
   string            m_no_ledger;       // why it cannot be used, as it was said
   ulong             m_login;           // whom the session is for
   string            m_server;
   bool              m_up;              // a connection is there, or its end is not dealt with
   long              m_next_dial_us;
   long              m_active_since_us; // -1: the session was not open yet
   long              m_close_until_us;  // -1: it need not be closed
   //--- the end, as the session said it
   bool              m_ended;
   int               m_end_code;
   bool              m_end_by_peer;
   uint              m_end_retry_ms;
   string            m_end_reason;
   string            m_status;
   uchar             m_in[];
   CByteBuffer       m_out;

   bool              OpenLedger(const CAccount &account);
   bool              BeginSession(const CAccount &account);
   bool              StreamOnly(const CAccount &account);
   bool              Refuse(const string problem);
   void              TellEnd(const bool was_active);

public:
                     CRelayLink(const SSettings &settings,CLog *lines);
   string            Status(void) const { return(m_status); }
   string            Address(void) const;
   bool              IsUp(void) const { return(m_up); }
   bool              IsFor(const CAccount &account) const;
   long              NextDialUs(void) const { return(m_next_dial_us); }
   bool              Dial(const CAccount &account);
   bool              LedgerReturned(const long now_us);
   bool              Receive(bool &came);
   bool              NextEvent(SSessionEvent &event);
   void              LoggedOn(const string program,const long now_us);
   long              Here(const long relay_time_us) const;
   //--- sending: the session's frames first; the caller adds market frames while there is room
   bool              Pending(void) const { return(m_session.WantsToSend() || m_transport.Pending()>0); }
   bool              Flush(void);
   bool              HasRoom(void) const { return(m_transport.Pending()==0 && m_out.Size()<LINK_SEND_LIMIT); }
   bool              Gather(void);
   bool              Dispatch(void);
   bool              TendClosing(const long now_us);
   long              CloseUntilUs(void) const { return(m_close_until_us); }
   void              Over(void);
   void              Close(const int code,const string text);
  };

CRelayLink::CRelayLink(const SSettings &settings,CLog *lines) : m_log(lines),
                                                             m_ledger_login(LINK_NO_LOGIN),
                                                             m_ledger_server(""),
                                                             m_next_probe_us(0),
                                                             m_probe_wait_us(LINK_PROBE_US),
                                                             m_no_ledger(""),
                                                             m_login(LINK_NO_LOGIN),
                                                             m_server(""),
                                                             m_up(false),
                                                             m_next_dial_us(0),
                                                             m_active_since_us(-1),
                                                             m_close_until_us(-1),
                                                             m_ended(false),
                                                             m_end_code(0),
                                                             m_end_by_peer(false),
                                                             m_end_retry_ms(0),
                                                             m_end_reason(""),
                                                             m_status("begins")
  {
   m_settings=settings;
   m_back_off.Seed((ulong)m_clock.NowUs()^(ulong)AccountInfoInteger(ACCOUNT_LOGIN));
  }

string CRelayLink::Address(void) const
  {
   return(StringFormat("%s:%d",m_settings.relay_host,m_settings.relay_port));
  }

// Whether the session, or the last one, is this account's.
bool CRelayLink::IsFor(const CAccount &account) const
  {
   return(account.Login()==m_login && account.Server()==m_server);
  }

//+------------------------------------------------------------------+
//| Beginning                                                        |
//+------------------------------------------------------------------+

// Connect and say HELLO. False: not now; NextDialUs() says when to try again.
bool CRelayLink::Dial(const CAccount &account)
  {
   if(!OpenLedger(account))
      return(false);
   if(!m_transport.Connect(m_settings.relay_host,m_settings.relay_port,LINK_CONNECT_MS))
     {
      m_next_dial_us=m_clock.NowUs()+m_back_off.DelayUs(0);
      m_status="waits for the relay: "+m_transport.Problem();
      m_log.Warning(m_status);
      return(false);
     }
   m_ended=false;
   m_close_until_us=-1;
   m_active_since_us=-1;
   m_out.Clear();
   if(!BeginSession(account))
     {
      m_transport.Close();
      return(false);
     }
   m_up=true;
   m_status="logs on";
   return(true);
  }

// The ledger of the account that is logged on. Without one that can be used there are ticks all the
// same: it is opened anew for the next connection.
bool CRelayLink::OpenLedger(const CAccount &account)
  {
   const bool same=(m_ledger_login==account.Login() && m_ledger_server==account.Server());
   if(m_ledger.IsOpen() && m_ledger.Durable() && same)
      return(true);
   const ulong relay_epoch=(same ? m_ledger.RelayEpochSeen() : 0);
   m_ledger_login=account.Login();
   m_ledger_server=account.Server();
   if(!m_ledger.Open(m_settings.alias,m_ledger_login,m_ledger_server,m_settings.key) && !StreamOnly(account))
      return(false);
//--- one that the disk did not take holds all the same
   if(!m_ledger.SeeRelayEpoch(relay_epoch))
      m_log.Debug("the relay's epoch is kept in memory only");
   return(true);
  }

// Whether a ledger that could not be used can be used now: the session is to begin anew with it.
bool CRelayLink::LedgerReturned(const long now_us)
  {
   if(m_ledger.Durable() || now_us<m_next_probe_us)
      return(false);
   if(m_probe_wait_us<LINK_PROBE_MAX_US/2)
      m_probe_wait_us*=2;
   else
      m_probe_wait_us=LINK_PROBE_MAX_US;
   m_next_probe_us=now_us+m_probe_wait_us;
   CLedger probe;
   const bool usable=(probe.Open(m_settings.alias,m_ledger_login,m_ledger_server,m_settings.key)
                      && probe.Durable() && probe.NextConnection());
   probe.Close();
   return(usable);
  }

// A session that must not trade; why is said once.
bool CRelayLink::StreamOnly(const CAccount &account)
  {
   const string problem=m_ledger.Problem();
   if(!m_ledger.UseTransient(account.Login(),m_settings.key))
      return(Refuse(problem));
   if(m_no_ledger!=problem)
      m_log.Error("no trading, ticks go on: "+problem);
   m_no_ledger=problem;
   return(true);
  }

bool CRelayLink::BeginSession(const CAccount &account)
  {
   m_login=account.Login();
   m_server=account.Server();
//--- a counter is on the disk before it is used: a nonce made of it must never repeat
   if(m_ledger.IsOpen() && !m_ledger.NextConnection() && !StreamOnly(account))
      return(false);
   if(m_ledger.IsOpen())
      m_no_ledger="";
   const long now_us=m_clock.NowUs();
   if(m_ledger.Durable())
      m_probe_wait_us=LINK_PROBE_US;
   m_next_probe_us=now_us+m_probe_wait_us;
   SHello hello={};
   hello.version_min=WIRE_VERSION_MIN;
   hello.version_max=WIRE_VERSION;
   hello.capabilities=CAPABILITY_TICKS|CAPABILITY_READS|CAPABILITY_REFILL;
   if(m_ledger.Durable() && (m_settings.role & (uint)ROLE_TRADE)!=0)
      hello.capabilities|=CAPABILITY_TRADE|CAPABILITY_EVENTS;
   hello.key_id=m_settings.alias;
   hello.role=m_settings.role;
   hello.build=(uint)TerminalInfoInteger(TERMINAL_BUILD);
   hello.program=APPLICATION_PROGRAM;
   hello.connection_counter=m_ledger.ConnectionCounter();
   hello.relay_epoch_seen=m_ledger.RelayEpochSeen();
   account.FillHello(hello);
   if(!m_ledger.CopyIncarnation(hello.incarnation)
      || !m_ledger.MakeNonce(m_settings.key,now_us,m_login,hello.nonce))
      return(Refuse("the terminal cannot compute a nonce"));
   if(!m_session.Begin(m_settings.key,hello,now_us))
      return(Refuse(m_session.Problem()));
   return(true);
  }

// What only a person can change.
bool CRelayLink::Refuse(const string problem)
  {
   m_next_dial_us=m_clock.NowUs()+m_back_off.DelayUs(0,LOGOUT_UNKNOWN_KEY,false,0);
   m_status="cannot log on: "+problem;
   m_log.Error(m_status);
   return(false);
  }

void CRelayLink::LoggedOn(const string program,const long now_us)
  {
   m_active_since_us=now_us;
   m_status="connected";
   m_log.Info("connected to "+program+" at "+Address());
  }

// A time of the relay's clock on ours.
long CRelayLink::Here(const long relay_time_us) const
  {
   if(!m_session.HasClockOffset())
      return(relay_time_us);
   const long offset_us=m_session.ClockOffsetUs();
   if(offset_us>0 && relay_time_us>LONG_MAX-offset_us)
      return(LONG_MAX);
   if(offset_us<0 && relay_time_us<LONG_MIN-offset_us)
      return(LONG_MIN);
   return(relay_time_us+offset_us);
  }

//+------------------------------------------------------------------+
//| Receiving and sending                                            |
//+------------------------------------------------------------------+

// Read what is there and give it to the session. False: the connection is over.
bool CRelayLink::Receive(bool &came)
  {
   came=false;
   //--- the reference says that SocketRead makes it larger, not by how much after many reads
   if(ArraySize(m_in)!=LINK_RECEIVE_SIZE && ArrayResize(m_in,LINK_RECEIVE_SIZE)!=LINK_RECEIVE_SIZE)
      return(false);
   const int count=m_transport.Receive(m_in,LINK_RECEIVE_SIZE);
   if(count<0)
      return(false);
   came=(count>0);
   if(came && !m_session.Closed())
      m_session.ReceiveData(m_in,count,m_clock.NowUs());
   return(true);
  }

// What the session has to say, but for its end, which is remembered for Over().
bool CRelayLink::NextEvent(SSessionEvent &event)
  {
//--- on the disk before PROOF is sent, so before a command of this relay is executed
   if(m_session.State()==SESSION_PROOF_SENT && m_session.RelayEpoch()>m_ledger.RelayEpochSeen()
      && !m_ledger.SeeRelayEpoch(m_session.RelayEpoch()))
      m_log.Error("the relay's epoch cannot be kept: "+m_ledger.Problem());
   while(m_session.NextEvent(event))
     {
      if(event.kind!=SESSION_EVENT_CLOSED)
         return(true);
      m_ended=true;
      m_end_code=event.code;
      m_end_by_peer=event.by_peer;
      m_end_retry_ms=event.retry_after_ms;
      m_end_reason=event.reason;
     }
   return(false);
  }

// Hand on what waits for the socket. False: the connection is over.
bool CRelayLink::Flush(void)
  {
   if(m_transport.Pending()>0 && !m_transport.Flush())
      return(false);
   if(m_transport.Pending()==0 && m_session.WantsToSend())
     {
      Gather();
      return(Dispatch());
     }
   return(true);
  }

// Collect frames of the session; false when it has none.
bool CRelayLink::Gather(void)
  {
   return(m_session.WantsToSend() && m_session.DataToSend(m_out,LINK_SEND_LIMIT-m_out.Size())>0);
  }

// Hand what was collected to the socket. False: the connection is over.
bool CRelayLink::Dispatch(void)
  {
   if(m_out.Size()==0)
      return(true);
   const bool queued=m_transport.Queue(m_out);
   m_out.Clear();
   return(queued && m_transport.Flush());
  }

//+------------------------------------------------------------------+
//| Ending                                                           |
//+------------------------------------------------------------------+

// Closed at once, the last frame could be lost with what we did not read: the relay closes first,
// within its time. False: it is time to close.
bool CRelayLink::TendClosing(const long now_us)
  {
   if(!m_session.Closed())
      return(true);
   if(m_close_until_us<0)
      m_close_until_us=now_us+LINK_CLOSE_US;
   return(now_us<m_close_until_us);
  }

// The connection is over, or is to be: dial again when NextDialUs() has come.
void CRelayLink::Over(void)
  {
   const string problem=m_transport.Problem();
   m_transport.Close();
   m_session.ReceiveEof();
   SSessionEvent event;
   while(NextEvent(event))
      m_log.Debug("a message came too late to be answered");
   const long now_us=m_clock.NowUs();
   const bool was_active=(m_active_since_us>=0);
   long active_us=0;
   if(was_active)
      active_us=now_us-m_active_since_us;
   long delay_us=0;
   if(m_ended)
     {
      delay_us=m_back_off.DelayUs(active_us,m_end_code,m_end_by_peer,m_end_retry_ms);
      if(m_end_by_peer && m_end_code==LOGOUT_REPLACED && delay_us<LINK_TWIN_US)
         delay_us=LINK_TWIN_US;
     }
   else
      delay_us=m_back_off.DelayUs(active_us);
   m_next_dial_us=now_us+delay_us;
   m_up=false;
   m_close_until_us=-1;
   m_active_since_us=-1;
   if(StringLen(problem)>0)
      m_log.Debug(problem);
   TellEnd(was_active);
   m_ended=false;
  }

void CRelayLink::TellEnd(const bool was_active)
  {
   if(!m_ended)
      return;
   const string advice=AdviceFor(m_end_code,m_settings.alias);
   m_status=(was_active ? "disconnected: " : "not let in: ")+PrintableText(m_end_reason);
   if(StringLen(advice)==0)
     {
      m_log.Warning(m_status);
      return;
     }
   m_status+="; "+advice;
   m_log.Error(m_status);
  }

// End the session in order, without waiting for the relay.
void CRelayLink::Close(const int code,const string text)
  {
   if(m_up)
     {
      m_session.Logout(code,text);
      bool sound=(m_transport.Hurry(LINK_LAST_MS) && Flush());
      //--- a socket may take a frame in pieces; nobody waits for one that takes nothing
      for(int i=0; i<LINK_LAST_FLUSHES && sound && (m_transport.Pending()>0 || m_session.WantsToSend()); i++)
         sound=Flush();
      //--- closed with something unread it is a reset, which may overtake what was said
      if(sound && ArraySize(m_in)==LINK_RECEIVE_SIZE)
         m_transport.Discard(m_in,LINK_RECEIVE_SIZE);
      if(!sound)
         m_log.Debug("the relay could not be told: "+m_transport.Problem());
     }
   m_up=false;
   m_transport.Close();
   m_ledger.Close();
  }

#endif // BRIDGE_APP_RELAYLINK_MQH
