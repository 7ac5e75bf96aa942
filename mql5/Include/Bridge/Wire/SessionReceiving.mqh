//+------------------------------------------------------------------+
//|                                             SessionReceiving.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What CSession does with received bytes: the checks of a frame in their order, and each message.
// A part of Session.mqh, whose rules hold here; include that one.

#ifndef BRIDGE_WIRE_SESSIONRECEIVING_MQH
#define BRIDGE_WIRE_SESSIONRECEIVING_MQH

#include <Bridge/Wire/Session.mqh>

//+------------------------------------------------------------------+
//| Receiving                                                        |
//+------------------------------------------------------------------+
void CSession::ReceiveData(const uchar &data[],const int count,const long now_us)
  {
   if(m_state==SESSION_CLOSED || count<=0)
      return;
   if(!m_buffer.Feed(data,count))
     {
      Fail(LOGOUT_NORMAL,"no memory for received bytes",false);
      return;
     }
   SFrame frame={};
   while(m_state!=SESSION_CLOSED && m_buffer.Next(frame))
      ReceiveFrame(frame,now_us);
   if(m_state!=SESSION_CLOSED && m_buffer.Code()!=0)
      Fail(m_buffer.Code(),m_buffer.Problem(),true);
  }

// The connection ended, or cannot be used any more.
void CSession::ReceiveEof(void)
  {
   if(m_state==SESSION_CLOSED)
      return;
   m_lanes.DropAll();
   Close(LOGOUT_NORMAL,"the connection ended without a logout",true,0);
  }

bool CSession::TagFits(const SFrame &frame)
  {
   if(m_receive_hmac.Ready())
      return(m_receive_hmac.Run(m_buffer.m_bytes.m_data,frame.begin,frame.length-WIRE_TAG_SIZE) &&
             m_receive_hmac.SameAs(m_buffer.m_bytes.m_data,frame.tag,WIRE_TAG_SIZE));
   uint difference=0;
   for(int i=0; i<WIRE_TAG_SIZE; i++)
      difference|=(uint)m_buffer.m_bytes.At(frame.tag+i);
   return(difference==0);
  }

// The order of the checks is that of the specification: the code depends on it.
void CSession::ReceiveFrame(const SFrame &frame,const long now_us)
  {
   if(frame.magic!=WIRE_FRAME_MAGIC)
     {
      Fail(LOGOUT_BAD_MAGIC,StringFormat("bytes 6..8 of a frame are 0x%04x, not the magic",frame.magic),true);
      return;
     }
   if(frame.flags!=0)
     {
      Fail(LOGOUT_BAD_FRAME,StringFormat("frame flags are %d, not 0",frame.flags),true);
      return;
     }
   if(frame.seq!=m_receive_seq+1)
     {
      Fail(LOGOUT_BAD_SEQUENCE,StringFormat("frame %I64u follows frame %I64u: lost, repeated or reordered",frame.seq,m_receive_seq),true);
      return;
     }
   if(!TagFits(frame))
     {
      Fail(LOGOUT_BAD_TAG,StringFormat("the tag of frame %I64u does not fit its bytes",frame.seq),true);
      return;
     }
   m_receive_seq=frame.seq;
   m_last_received_us=now_us;
   if(!MayArrive(frame.type))
     {
      RejectType(frame.type);
      return;
     }
   uchar body[];
   if(m_buffer.m_bytes.CopyTo(body,frame.body,frame.body_size)<0)
     {
      Fail(LOGOUT_NORMAL,"no memory for a message",false);
      return;
     }
   ReceiveMessage(frame.type,body,now_us);
  }

// What the states of the specification name for a terminal.
bool CSession::MayArrive(const int type) const
  {
   if(m_state==SESSION_CLOSED)
      return(false);
   if(type==FRAME_LOGOUT)
      return(true);
   if(m_state==SESSION_HELLO_SENT)
      return(type==FRAME_CHALLENGE);
   if(m_state==SESSION_PROOF_SENT)
      return(type==FRAME_WELCOME);
   switch(type)
     {
      case FRAME_HEARTBEAT:
      case FRAME_TEST_REQUEST:
      case FRAME_ACK:
      case FRAME_SUBSCRIBE:
      case FRAME_UNSUBSCRIBE:
      case FRAME_REFILL:
      case FRAME_REQUEST:
      case FRAME_CANCEL_REQUEST:
      case FRAME_NEW:
      case FRAME_QUERY:
      case FRAME_EVENT_ACK:
      case FRAME_HALT:
         return(true);
     }
   return(false);
  }

void CSession::RejectType(const int type)
  {
   string name=FrameName(type);
   if(name!="")
     {
      Fail(LOGOUT_UNEXPECTED_TYPE,name+" must not arrive here (state: "+StateText()+")",true);
      return;
     }
   if(type>WIRE_CRITICAL_TYPE_MAX && m_state==SESSION_ACTIVE)
      return;
   Fail(LOGOUT_UNKNOWN_TYPE,StringFormat("frame type 0x%02x is not known",type),true);
  }

void CSession::ReceiveMessage(const int type,const uchar &body[],const long now_us)
  {
   switch(type)
     {
      case FRAME_CHALLENGE:
         ReceiveChallenge(body);
         return;
      case FRAME_WELCOME:
         ReceiveWelcome(body,now_us);
         return;
      case FRAME_LOGOUT:
         ReceiveLogout(body);
         return;
      case FRAME_HEARTBEAT:
        {
         SHeartbeat heartbeat={};
         if(!heartbeat.Unpack(body,m_problem))
            Fail(LOGOUT_BAD_MESSAGE,m_problem,true);
         else
            ReceiveHeartbeat(heartbeat,now_us);
         return;
        }
      case FRAME_TEST_REQUEST:
        {
         STestRequest test={};
         if(!test.Unpack(body,m_problem))
            Fail(LOGOUT_BAD_MESSAGE,m_problem,true);
         else
            QueueHeartbeat(now_us,test.test_id);
         return;
        }
      case FRAME_ACK:
        {
         SAck ack={};
         if(!ack.Unpack(body,m_problem))
            Fail(LOGOUT_BAD_MESSAGE,m_problem,true);
         else
            if(ack.seq>m_send_seq)
               Fail(LOGOUT_BAD_MESSAGE,StringFormat("ACK of frame %I64u, which was not sent",ack.seq),true);
            else
               m_lanes.Acknowledge(ack.seq);
         return;
        }
     }
   if(!IsSound(type,body))
     {
      Fail(LOGOUT_BAD_MESSAGE,m_problem,true);
      return;
     }
   if(!AddEvent(SESSION_EVENT_MESSAGE,type,body))
      Fail(LOGOUT_NORMAL,"no memory for a message",false);
  }

// Whether the body is that of its type; the caller unpacks it again, into what it needs.
bool CSession::IsSound(const int type,const uchar &body[])
  {
   switch(type)
     {
      case FRAME_SUBSCRIBE:
        {
         SSubscribe message={};
         return(message.Unpack(body,m_problem));
        }
      case FRAME_UNSUBSCRIBE:
        {
         SUnsubscribe message={};
         return(message.Unpack(body,m_problem));
        }
      case FRAME_REFILL:
        {
         SRefill message={};
         return(message.Unpack(body,m_problem));
        }
      case FRAME_REQUEST:
        {
         SRequest message;
         return(message.Unpack(body,m_problem));
        }
      case FRAME_CANCEL_REQUEST:
        {
         SCancelRequest message={};
         return(message.Unpack(body,m_problem));
        }
      case FRAME_NEW:
        {
         SNew message;
         return(message.Unpack(body,m_problem));
        }
      case FRAME_QUERY:
        {
         SQuery message;
         return(message.Unpack(body,m_problem));
        }
      case FRAME_EVENT_ACK:
        {
         SEventAck message={};
         return(message.Unpack(body,m_problem));
        }
      case FRAME_HALT:
        {
         SHalt message={};
         return(message.Unpack(body,m_problem));
        }
     }
   m_problem="a message without a reader";
   return(false);
  }

void CSession::ReceiveChallenge(const uchar &body[])
  {
   SChallenge challenge={};
   CLogonSecrets secrets;
   uchar fields[];
   int size=ArraySize(body)-WIRE_PROOF_SIZE;
   if(size>0 && (ArrayResize(fields,size)!=size || ArrayCopy(fields,body,0,0,size)!=size))
     {
      Fail(LOGOUT_NORMAL,"no memory for CHALLENGE",false);
      return;
     }
   if(!challenge.Unpack(fields,m_problem))
     {
      Fail(LOGOUT_BAD_MESSAGE,m_problem,true);
      return;
     }
   if(challenge.version<m_version_min || challenge.version>m_version_max)
     {
      Fail(LOGOUT_VERSION_MISMATCH,StringFormat("the relay chose version %u",challenge.version),true);
      return;
     }
   if(!secrets.Derive(m_key,m_hello_body,body))
     {
      Fail(LOGOUT_SELF_TEST_FAILED,"this terminal cannot hash",false);
      return;
     }
   if(!SameBytes(body,size,secrets.m_relay_proof,0,WIRE_PROOF_SIZE))
     {
      secrets.Forget();
      Fail(LOGOUT_BAD_RELAY_KEY,"the relay does not have this terminal's key (compare both key files)",true);
      return;
     }
   if(challenge.relay_epoch<m_relay_epoch_seen)
     {
      secrets.Forget();
      Fail(LOGOUT_STALE_RELAY,StringFormat("relay epoch %I64u is older than %I64u",challenge.relay_epoch,m_relay_epoch_seen),true);
      return;
     }
   m_capabilities=challenge.capabilities&m_hello_capabilities;
   m_relay_epoch=challenge.relay_epoch;
   bool sound=m_lanes.Push(FRAME_PROOF,secrets.m_terminal_proof,WIRE_PROOF_SIZE) &&
              m_send_hmac.Key(secrets.m_terminal_key) && m_receive_hmac.Key(secrets.m_relay_key);
   secrets.Forget();
   if(!sound)
     {
      Fail(LOGOUT_NORMAL,"no memory for the logon",false);
      return;
     }
   m_state=SESSION_PROOF_SENT;
  }

void CSession::ReceiveWelcome(const uchar &body[],const long now_us)
  {
   SWelcome welcome={};
   if(!welcome.Unpack(body,m_problem))
     {
      Fail(LOGOUT_BAD_MESSAGE,m_problem,true);
      return;
     }
   long interval_ms=(long)welcome.heartbeat_interval_ms;
   long limit_ms=(long)welcome.silence_limit_ms;
   if(interval_ms<WIRE_HEARTBEAT_INTERVAL_MIN_MS || interval_ms>WIRE_HEARTBEAT_INTERVAL_MAX_MS ||
      limit_ms<2*interval_ms || limit_ms>WIRE_SILENCE_LIMIT_MAX_MS)
     {
      Fail(LOGOUT_BAD_MESSAGE,StringFormat("WELCOME: a heartbeat every %I64d ms with a silence limit of %I64d ms is out of bounds",interval_ms,limit_ms),true);
      return;
     }
   m_heartbeat_us=interval_ms*1000;
   m_silence_us=limit_ms*1000;
   Activate(now_us);
   ObserveStamp(welcome.time_us,now_us);
   if(!AddEvent(SESSION_EVENT_LOGGED_ON,FRAME_WELCOME,body))
      Fail(LOGOUT_NORMAL,"no memory for WELCOME",false);
  }

void CSession::Activate(const long now_us)
  {
   m_state=SESSION_ACTIVE;
   m_buffer.FrameMax(WIRE_FRAME_MAX);
   m_last_received_us=now_us;
   m_last_timer_us=now_us;
   m_next_heartbeat_us=now_us;
   m_excused_us=now_us;
  }

void CSession::ReceiveHeartbeat(const SHeartbeat &heartbeat,const long now_us)
  {
   m_peer_time_us=heartbeat.time_us;
   m_peer_time_at_us=now_us;
   ObserveStamp(heartbeat.time_us,now_us);
   if(heartbeat.echo_time_us!=0)
     {
      long rtt_us=(long)((ulong)now_us-(ulong)heartbeat.echo_time_us-(ulong)heartbeat.echo_delay_us);
      m_rtt_us=(rtt_us<0 ? 0 : rtt_us);
     }
  }

void CSession::ReceiveLogout(const uchar &body[])
  {
   SLogout farewell={};
   if(!farewell.Unpack(body,m_problem))
     {
      Fail(LOGOUT_BAD_MESSAGE,m_problem,true);
      return;
     }
   m_lanes.DropAll();
   Close((int)farewell.code,farewell.text,true,farewell.retry_after_ms);
  }

void CSession::ObserveStamp(const long stamp_us,const long now_us)
  {
   m_offset_us=m_clock.Observe(stamp_us,now_us);
   m_has_offset=true;
  }

#endif // BRIDGE_WIRE_SESSIONRECEIVING_MQH
