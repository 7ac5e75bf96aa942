//+------------------------------------------------------------------+
//|                                                      Session.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The terminal's side of a session of the wire protocol: bytes in, events out, bytes to send.
//
// Driven by ReceiveData, ReceiveEof, HandleTimer (when NextDeadline has come) and the Send
// methods; after each of them take NextEvent until it is false, and DataToSend. When Closed() is
// true, flush what DataToSend still gives and close the connection. Times are microseconds of
// the caller's monotonic clock (GetMicrosecondCount).
//
// Rule 1: whatever the peer sends, nothing here fails otherwise than by a LOGOUT with the reason
// and a SESSION_EVENT_CLOSED. Look at Closed() before answering an event.
// Rule 2: sequence number and tag are given to a frame when it becomes the next on the wire.
// Rule 3: no Socket*, no Order*, no files, no clock: those are the caller's.
// What must change together: this file, bridge/wire/session.py, protocol.py, states.py, and
// docs/reference/wire-protocol.md.

#ifndef BRIDGE_WIRE_SESSION_MQH
#define BRIDGE_WIRE_SESSION_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Wire/Spec.mqh>
#include <Bridge/Wire/Hmac.mqh>
#include <Bridge/Wire/Messages.mqh>
#include <Bridge/Wire/Frame.mqh>
#include <Bridge/Wire/Lanes.mqh>
#include <Bridge/Wire/ClockOffset.mqh>

enum ENUM_SESSION_EVENT
  {
   SESSION_EVENT_MESSAGE=0,   // a message of the relay: type and body
   SESSION_EVENT_LOGGED_ON=1, // the session is open: body is that of WELCOME
   SESSION_EVENT_CLOSED=2     // the session is over: code, reason, by_peer, retry_after_ms
  };

// What a session tells its caller. The body was checked: Unpack of its structure succeeds.
// HEARTBEAT, TEST_REQUEST and ACK are the session's own and no events.
struct SSessionEvent
  {
   ENUM_SESSION_EVENT kind;
   int               type;            // ENUM_WIRE_FRAME of a message
   uchar             body[];
   int               code;            // ENUM_WIRE_LOGOUT
   string            reason;          // printable
   bool              by_peer;         // the other side said so or broke the protocol first
   uint              retry_after_ms;
                     SSessionEvent(void);
  };

SSessionEvent::SSessionEvent(void) : kind(SESSION_EVENT_MESSAGE),type(0),code(0),reason(""),by_peer(false),
                                     retry_after_ms(0)
  {
  }

//+------------------------------------------------------------------+
//| One session; Begin() makes a new one of the same object.         |
//+------------------------------------------------------------------+
class CSession
  {
public:
                     CSession(void);
   //--- what the caller drives
   bool              Begin(const uchar &key[],const SHello &hello,const long now_us,const int deadline_ms=5000);
   void              ReceiveData(const uchar &data[],const int count,const long now_us);
   void              ReceiveEof(void);
   bool              NextEvent(SSessionEvent &event);
   int               DataToSend(CByteBuffer &out,const int limit=WIRE_FRAME_MAX);
   bool              WantsToSend(void) const;
   long              NextDeadline(void) const;
   void              HandleTimer(const long now_us);
   //--- sending: false: the session is not open, a field is out of range, or the peer reads nothing
   //--- (then the session has ended); Problem() says which
   bool              Send(const SBusy &message);
   bool              Send(const SStream &message);
   bool              Send(const SGap &message);
   bool              Send(const SPage &message);
   bool              Send(const SResult &message);
   bool              Send(const SEvent &message);
   bool              SendMarket(const CByteBuffer &body);   // runs of at most 8,160 bytes together
   void              Test(const long now_us);               // a TEST_REQUEST: a living peer answers
   void              Logout(const int code,const string text,const uint retry_after_ms=0);
   void              TerminalState(const STerminalState &state); // what the next heartbeats report
   //--- what it knows
   ENUM_SESSION_STATE State(void) const { return(m_state); }
   string            StateText(void) const;
   bool              Active(void) const { return(m_state==SESSION_ACTIVE); }
   bool              Closed(void) const { return(m_state==SESSION_CLOSED); }
   string            Problem(void) const { return(m_problem); }
   ulong             Capabilities(void) const { return(m_capabilities); } // of both; after CHALLENGE
   ulong             RelayEpoch(void) const { return(m_relay_epoch); }    // after CHALLENGE
   bool              HasClockOffset(void) const { return(m_has_offset); }
   long              ClockOffsetUs(void) const { return(m_offset_us); }   // our clock minus the relay's
   long              RttUs(void) const { return(m_rtt_us); }              // -1: not known
   long              LastReceivedUs(void) const { return(m_last_received_us); }
   int               MarketQueued(void) const;   // bytes of TICKS frames not handed to DataToSend
   int               MarketInFlight(void) const; // bytes of TICKS and PAGE frames not acknowledged
   int               PagesQueued(void) const;    // PAGE frames not handed to DataToSend

private:
   ENUM_SESSION_STATE m_state;
   string            m_problem;
   uchar             m_key[];
   uchar             m_hello_body[];
   uint              m_version_min;
   uint              m_version_max;
   ulong             m_hello_capabilities;
   ulong             m_relay_epoch_seen;
   ulong             m_capabilities;
   ulong             m_relay_epoch;
   //--- liveness
   long              m_last_received_us;
   long              m_heartbeat_us;
   long              m_silence_us;
   long              m_logon_deadline_us;
   long              m_next_heartbeat_us;
   long              m_last_timer_us;
   long              m_test_sent_us;
   long              m_excused_us;
   uint              m_test_id;
   long              m_peer_time_us;
   long              m_peer_time_at_us;
   long              m_rtt_us;
   bool              m_has_offset;
   long              m_offset_us;
   bool              m_has_terminal_state;
   STerminalState    m_terminal_state;
   CClockOffset      m_clock;
   //--- frames
   CFrameBuffer      m_buffer;
   CSendLanes        m_lanes;
   ulong             m_send_seq;
   ulong             m_receive_seq;
   CHmac             m_send_hmac;      // ready: what is sent is tagged
   CHmac             m_receive_hmac;   // ready: what is received must be tagged
   //--- events that wait for NextEvent
   SSessionEvent     m_events[];
   int               m_event_first;
   int               m_event_count;

   //--- receiving
   void              ReceiveFrame(const SFrame &frame,const long now_us);
   bool              TagFits(const SFrame &frame);
   bool              MayArrive(const int type) const;
   void              RejectType(const int type);
   void              ReceiveMessage(const int type,const uchar &body[],const long now_us);
   void              ReceiveChallenge(const uchar &body[]);
   void              ReceiveWelcome(const uchar &body[],const long now_us);
   void              ReceiveHeartbeat(const SHeartbeat &heartbeat,const long now_us);
   void              ReceiveLogout(const uchar &body[]);
   bool              IsSound(const int type,const uchar &body[]);
   void              ObserveStamp(const long stamp_us,const long now_us);
   void              Activate(const long now_us);
   //--- sending
   bool              MaySend(const int type);
   bool              Queue(const int type,const uchar &body[]);
   bool              Packed(const int type,const bool sound,const uchar &body[],const string problem);
   void              QueueHeartbeat(const long now_us,const uint test_id);
   bool              AppendFrame(CByteBuffer &out,const int type,const uchar &body[]);
   //--- liveness
   long              SilentSince(void) const;
   bool              TestIsDue(void) const;
   //--- ending
   void              Fail(const int code,const string reason,const bool by_peer);
   void              End(const int code,const string reason,const uint retry_after_ms);
   void              Close(const int code,const string reason,const bool by_peer,const uint retry_after_ms);
   bool              AddEvent(const ENUM_SESSION_EVENT kind,const int type,const uchar &body[]);
  };

//--- our own loop was away so long that the peer's frames may simply wait in the socket
#define SESSION_OWN_STALL_US 1000000
//--- the text of a LOGOUT of ours, cut to this, fits its field
#define SESSION_TEXT_BYTES 250

CSession::CSession(void) : m_state(SESSION_CLOSED),m_problem(""),m_version_min(0),m_version_max(0),
                           m_hello_capabilities(0),m_relay_epoch_seen(0),m_capabilities(0),m_relay_epoch(0),
                           m_last_received_us(0),m_heartbeat_us(1000000),m_silence_us(4000000),
                           m_logon_deadline_us(0),m_next_heartbeat_us(0),m_last_timer_us(0),m_test_sent_us(-1),
                           m_excused_us(0),m_test_id(0),m_peer_time_us(0),m_peer_time_at_us(0),m_rtt_us(-1),
                           m_has_offset(false),m_offset_us(0),m_has_terminal_state(false),m_send_seq(0),
                           m_receive_seq(0),m_event_first(0),m_event_count(0)
  {
   ZeroMemory(m_terminal_state);
  }

// Begin a session on a connection that was just made: HELLO waits to be sent. False: the key has
// another size, or a field of HELLO is out of range (Problem() names it); then it is closed.
// hello.nonce must never repeat for this key: it is what stops a relay that was recorded.
bool CSession::Begin(const uchar &key[],const SHello &hello,const long now_us,const int deadline_ms)
  {
   m_state=SESSION_CLOSED;
   m_problem="";
   m_lanes.Clear();
   m_buffer.Begin(WIRE_LOGON_FRAME_MAX);
   m_clock.Begin(now_us);
   m_send_hmac.Forget();
   m_receive_hmac.Forget();
   ArrayFree(m_events);
   m_event_first=0;
   m_event_count=0;
   m_version_min=hello.version_min;
   m_version_max=hello.version_max;
   m_hello_capabilities=hello.capabilities;
   m_relay_epoch_seen=hello.relay_epoch_seen;
   m_capabilities=0;
   m_relay_epoch=0;
   m_last_received_us=now_us;
   m_heartbeat_us=1000000;
   m_silence_us=4000000;
   m_logon_deadline_us=now_us+(long)deadline_ms*1000;
   m_next_heartbeat_us=now_us;
   m_last_timer_us=now_us;
   m_test_sent_us=-1;
   m_excused_us=now_us;
   m_test_id=0;
   m_peer_time_us=0;
   m_peer_time_at_us=0;
   m_rtt_us=-1;
   m_has_offset=false;
   m_offset_us=0;
   m_has_terminal_state=false;
   m_send_seq=0;
   m_receive_seq=0;
   if(ArraySize(key)!=WIRE_KEY_SIZE)
     {
      m_problem=StringFormat("the key has %d bytes instead of %d",ArraySize(key),WIRE_KEY_SIZE);
      return(false);
     }
   if(ArrayResize(m_key,WIRE_KEY_SIZE)!=WIRE_KEY_SIZE || ArrayCopy(m_key,key)!=WIRE_KEY_SIZE)
     {
      m_problem="no memory";
      return(false);
     }
   if(!hello.Pack(m_hello_body,m_problem))
      return(false);
   if(!m_lanes.Push(FRAME_HELLO,m_hello_body,ArraySize(m_hello_body)))
     {
      m_problem="no memory";
      return(false);
     }
   m_state=SESSION_HELLO_SENT;
   return(true);
  }

string CSession::StateText(void) const
  {
   switch(m_state)
     {
      case SESSION_HELLO_SENT:
         return("hello sent");
      case SESSION_PROOF_SENT:
         return("proof sent");
      case SESSION_ACTIVE:
         return("active");
     }
   return("closed");
  }

int CSession::MarketQueued(void) const
  {
   return(m_lanes.MarketBytes());
  }

int CSession::MarketInFlight(void) const
  {
   return(m_lanes.InFlightBytes());
  }

int CSession::PagesQueued(void) const
  {
   return(m_lanes.Pages());
  }

void CSession::TerminalState(const STerminalState &state)
  {
   m_terminal_state=state;
   m_has_terminal_state=true;
  }

//+------------------------------------------------------------------+
//| Events                                                           |
//+------------------------------------------------------------------+
bool CSession::AddEvent(const ENUM_SESSION_EVENT kind,const int type,const uchar &body[])
  {
   int at=m_event_first+m_event_count;
   if(at>=ArraySize(m_events))
     {
      int room=(at<16 ? 16 : 2*at);
      if(ArrayResize(m_events,room)!=room)
         return(false);
     }
   m_events[at].kind=kind;
   m_events[at].type=type;
   m_events[at].code=LOGOUT_NORMAL;
   m_events[at].reason="";
   m_events[at].by_peer=false;
   m_events[at].retry_after_ms=0;
   int size=ArraySize(body);
   if(ArrayResize(m_events[at].body,size)!=size || (size>0 && ArrayCopy(m_events[at].body,body)!=size))
      return(false);
   m_event_count++;
   return(true);
  }

// Take the oldest event; false: there is none.
bool CSession::NextEvent(SSessionEvent &event)
  {
   if(m_event_count==0)
     {
      m_event_first=0;
      return(false);
     }
   event.kind=m_events[m_event_first].kind;
   event.type=m_events[m_event_first].type;
   event.code=m_events[m_event_first].code;
   event.reason=m_events[m_event_first].reason;
   event.by_peer=m_events[m_event_first].by_peer;
   event.retry_after_ms=m_events[m_event_first].retry_after_ms;
   int size=ArraySize(m_events[m_event_first].body);
   bool copied=(ArrayResize(event.body,size)==size && (size==0 || ArrayCopy(event.body,m_events[m_event_first].body)==size));
   ArrayFree(m_events[m_event_first].body);
   m_event_first++;
   m_event_count--;
   if(m_event_count==0)
      m_event_first=0;
   return(copied);
  }

//+------------------------------------------------------------------+
//| Sending                                                          |
//+------------------------------------------------------------------+
bool CSession::WantsToSend(void) const
  {
   return(m_lanes.Ready());
  }

// Append the next frames: commands before ticks before pages. Stops at the first one that goes
// past the limit, so call it only when the connection can take more: bytes handed out cannot be
// overtaken any more. Returns how many bytes were appended.
int CSession::DataToSend(CByteBuffer &out,const int limit)
  {
   int before=out.Size();
   int type=0;
   uchar body[];
   while(out.Size()-before<limit && m_lanes.Pop(m_send_seq+1,type,body))
      if(!AppendFrame(out,type,body))
        {
         m_lanes.DropAll();
         if(m_state!=SESSION_CLOSED)
            Close(LOGOUT_NORMAL,"no memory for a frame",false,0);
         break;
        }
   return(out.Size()-before);
  }

bool CSession::AppendFrame(CByteBuffer &out,const int type,const uchar &body[])
  {
   int begin=out.Size();
   m_send_seq++;
   if(!AppendFrameHeader(out,ArraySize(body),type,m_send_seq) || !out.AppendAll(body))
      return(false);
   if(!m_send_hmac.Ready() || type==FRAME_HELLO || type==FRAME_PROOF)
      return(out.AppendZeros(WIRE_TAG_SIZE));
   uchar tag[];
   return(m_send_hmac.Run(out.m_data,begin,out.Size()-begin) && m_send_hmac.CopyHash(tag,WIRE_TAG_SIZE) && out.AppendAll(tag));
  }

bool CSession::MaySend(const int type)
  {
   if(m_state==SESSION_ACTIVE)
      return(true);
   m_problem=FrameName(type)+" cannot be sent from here: the session is "+StateText();
   return(false);
  }

// Put a body into its lane; false: it is too large, or the peer reads nothing and the session has
// ended for it.
bool CSession::Queue(const int type,const uchar &body[])
  {
   int size=ArraySize(body)+WIRE_FRAME_OVERHEAD;
   if(size>WIRE_FRAME_MAX)
     {
      m_problem=StringFormat("%s of %d bytes is larger than a frame",FrameName(type),size);
      return(false);
     }
   if(!m_lanes.Push(type,body,ArraySize(body)))
     {
      m_problem="no memory";
      return(false);
     }
   int waiting=m_lanes.CommandBytes();
   if(waiting>WIRE_COMMAND_QUEUE_MAX && m_state==SESSION_ACTIVE)
     {
      m_lanes.DropAll();
      Fail(LOGOUT_QUEUE_FULL,StringFormat("the peer does not read: %d bytes waited for it",waiting),false);
      m_problem=FrameName(type)+" cannot be sent: the peer reads nothing";
      return(false);
     }
   return(true);
  }

bool CSession::Packed(const int type,const bool sound,const uchar &body[],const string problem)
  {
   if(!sound)
     {
      m_problem=problem;
      return(false);
     }
   return(Queue(type,body));
  }

bool CSession::Send(const SBusy &message)
  {
   uchar body[];
   string problem="";
   if(!MaySend(FRAME_BUSY))
      return(false);
   bool sound=message.Pack(body,problem);
   return(Packed(FRAME_BUSY,sound,body,problem));
  }

bool CSession::Send(const SStream &message)
  {
   uchar body[];
   string problem="";
   if(!MaySend(FRAME_STREAM))
      return(false);
   bool sound=message.Pack(body,problem);
   return(Packed(FRAME_STREAM,sound,body,problem));
  }

bool CSession::Send(const SGap &message)
  {
   uchar body[];
   string problem="";
   if(!MaySend(FRAME_GAP))
      return(false);
   bool sound=message.Pack(body,problem);
   return(Packed(FRAME_GAP,sound,body,problem));
  }

bool CSession::Send(const SPage &message)
  {
   uchar body[];
   string problem="";
   if(!MaySend(FRAME_PAGE))
      return(false);
   bool sound=message.Pack(body,problem);
   return(Packed(FRAME_PAGE,sound,body,problem));
  }

bool CSession::Send(const SResult &message)
  {
   uchar body[];
   string problem="";
   if(!MaySend(FRAME_RESULT))
      return(false);
   bool sound=message.Pack(body,problem);
   return(Packed(FRAME_RESULT,sound,body,problem));
  }

bool CSession::Send(const SEvent &message)
  {
   uchar body[];
   string problem="";
   if(!MaySend(FRAME_EVENT))
      return(false);
   bool sound=message.Pack(body,problem);
   return(Packed(FRAME_EVENT,sound,body,problem));
  }

bool CSession::SendMarket(const CByteBuffer &body)
  {
   if(!MaySend(FRAME_TICKS))
      return(false);
   if(body.Failed() || body.Size()+WIRE_FRAME_OVERHEAD>WIRE_MARKET_FRAME_MAX)
     {
      m_problem=StringFormat("%d bytes of ticks are too many for a frame",body.Size());
      return(false);
     }
   if(!m_lanes.Push(FRAME_TICKS,body.m_data,body.Size()))
     {
      m_problem="no memory";
      return(false);
     }
   return(true);
  }

void CSession::QueueHeartbeat(const long now_us,const uint test_id)
  {
   SHeartbeat heartbeat={};
   uchar body[];
   string problem="";
   long delay_us=(m_peer_time_us!=0 ? now_us-m_peer_time_at_us : 0);
   if(delay_us<0)
      delay_us=0;
   if(delay_us>(long)UINT_MAX)
      delay_us=(long)UINT_MAX;
   heartbeat.time_us=now_us;
   heartbeat.echo_time_us=m_peer_time_us;
   heartbeat.echo_delay_us=(uint)delay_us;
   heartbeat.test_id=test_id;
   heartbeat.has_state=m_has_terminal_state;
   heartbeat.state=m_terminal_state;
   if(heartbeat.Pack(body,problem))
      Queue(FRAME_HEARTBEAT,body);
   else
      Fail(LOGOUT_NORMAL,"a heartbeat cannot be written: "+problem,false);
  }

//+------------------------------------------------------------------+
//| Liveness                                                         |
//+------------------------------------------------------------------+
long CSession::SilentSince(void) const
  {
   return(m_last_received_us>m_excused_us ? m_last_received_us : m_excused_us);
  }

// Not more than one test request for the same silence.
bool CSession::TestIsDue(void) const
  {
   return(m_test_sent_us<SilentSince());
  }

// When HandleTimer wants to be called next; WIRE_NEVER_US when the session is closed.
long CSession::NextDeadline(void) const
  {
   if(m_state==SESSION_CLOSED)
      return(WIRE_NEVER_US);
   if(m_state!=SESSION_ACTIVE)
      return(m_logon_deadline_us);
   long silence_us=(TestIsDue() ? m_silence_us/2 : m_silence_us);
   long deadline_us=SilentSince()+silence_us;
   return(m_next_heartbeat_us<deadline_us ? m_next_heartbeat_us : deadline_us);
  }

// Do what is due: heartbeat, test request, or ending a dead session.
void CSession::HandleTimer(const long now_us)
  {
   bool stalled=(now_us-m_last_timer_us>m_heartbeat_us+SESSION_OWN_STALL_US);
   m_last_timer_us=now_us;
   if(m_state==SESSION_CLOSED)
      return;
   if(m_state!=SESSION_ACTIVE)
     {
      if(now_us>=m_logon_deadline_us)
         Fail(LOGOUT_LOGON_TIMEOUT,"no complete logon in time (state: "+StateText()+")",false);
      return;
     }
   //--- a stall of our own is not the peer's silence: let it be heard first
   if(stalled)
      m_excused_us=now_us-m_silence_us/2;
   if(now_us>=m_next_heartbeat_us)
     {
      long late_us=now_us-m_next_heartbeat_us;
      m_next_heartbeat_us=now_us+m_heartbeat_us-late_us%m_heartbeat_us;
      QueueHeartbeat(now_us,0);
      if(m_state==SESSION_CLOSED)
         return;
     }
   long silence_us=now_us-SilentSince();
   if(silence_us>=m_silence_us)
      Fail(LOGOUT_HEARTBEAT_LOST,StringFormat("nothing received for %I64d ms",silence_us/1000),false);
   else
      if(silence_us>=m_silence_us/2 && TestIsDue())
         Test(now_us);
  }

void CSession::Test(const long now_us)
  {
   if(m_state!=SESSION_ACTIVE)
      return;
   STestRequest test={};
   uchar body[];
   m_test_sent_us=now_us;
   m_test_id=(m_test_id==UINT_MAX ? 1 : m_test_id+1);
   test.test_id=m_test_id;
   if(test.Pack(body,m_problem))
      Queue(FRAME_TEST_REQUEST,body);
  }

//+------------------------------------------------------------------+
//| Ending                                                           |
//+------------------------------------------------------------------+
// End the session; the relay is told why.
void CSession::Logout(const int code,const string text,const uint retry_after_ms)
  {
   if(m_state==SESSION_CLOSED)
      return;
   End(code,text,retry_after_ms);
   Close(code,text,false,0);
  }

void CSession::Fail(const int code,const string reason,const bool by_peer)
  {
   End(code,reason,0);
   Close(code,reason,by_peer,0);
  }

// What is in the command lane still goes out, then the LOGOUT; no more market data.
void CSession::End(const int code,const string reason,const uint retry_after_ms)
  {
   SLogout farewell={};
   uchar body[];
   string problem="";
   m_lanes.DropMarket();
   farewell.code=(uint)code;
   farewell.text=ClipText(reason,SESSION_TEXT_BYTES);
   farewell.retry_after_ms=retry_after_ms;
   if(farewell.Pack(body,problem))
      m_lanes.Push(FRAME_LOGOUT,body,ArraySize(body));
  }

void CSession::Close(const int code,const string reason,const bool by_peer,const uint retry_after_ms)
  {
   uchar no_body[];
   m_state=SESSION_CLOSED;
   if(!AddEvent(SESSION_EVENT_CLOSED,0,no_body))
      return;
   int at=m_event_first+m_event_count-1;
   m_events[at].code=code;
   m_events[at].reason=PrintableText(reason);
   m_events[at].by_peer=by_peer;
   m_events[at].retry_after_ms=retry_after_ms;
  }

// The name of a frame type, empty when it is none of this version.
string FrameName(const int type)
  {
   switch(type)
     {
      case FRAME_HELLO:
      case FRAME_CHALLENGE:
      case FRAME_PROOF:
      case FRAME_WELCOME:
      case FRAME_LOGOUT:
      case FRAME_HEARTBEAT:
      case FRAME_TEST_REQUEST:
      case FRAME_BUSY:
      case FRAME_ACK:
      case FRAME_SUBSCRIBE:
      case FRAME_UNSUBSCRIBE:
      case FRAME_STREAM:
      case FRAME_TICKS:
      case FRAME_GAP:
      case FRAME_REFILL:
      case FRAME_REQUEST:
      case FRAME_PAGE:
      case FRAME_CANCEL_REQUEST:
      case FRAME_NEW:
      case FRAME_QUERY:
      case FRAME_RESULT:
      case FRAME_EVENT:
      case FRAME_EVENT_ACK:
      case FRAME_HALT:
         return(StringSubstr(EnumToString((ENUM_WIRE_FRAME)type),6));
     }
   return("");
  }

#include <Bridge/Wire/SessionReceiving.mqh>

#endif // BRIDGE_WIRE_SESSION_MQH
