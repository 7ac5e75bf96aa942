//+------------------------------------------------------------------+
//|                                                 wire_vectors.mq5 |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// For tests only: does what wire_cases.txt says, a line each, and writes a line each to
// wire_results.txt. tests/mql5/test_ea_wire.py compares them with the Python implementation.
#property version     "1.00"
#property description "Test of the wire protocol: compares nothing, only answers"

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Support/Crc32.mqh>
#include <Bridge/Wire/Hmac.mqh>
#include <Bridge/Wire/Messages.mqh>
#include <Bridge/Wire/Session.mqh>

CSession g_session;
uchar    g_key[];

// Unpack a body as a message and pack it again; "-": refused.
string Repacked(const int type,const uchar &body[])
  {
   uchar packed[];
   string problem="";
   bool sound=false;
   switch(type)
     {
      case FRAME_HELLO:
        {
         SHello message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_CHALLENGE:
        {
         SChallenge message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_WELCOME:
        {
         SWelcome message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_LOGOUT:
        {
         SLogout message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_HEARTBEAT:
        {
         SHeartbeat message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_TEST_REQUEST:
        {
         STestRequest message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_BUSY:
        {
         SBusy message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_ACK:
        {
         SAck message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_SUBSCRIBE:
        {
         SSubscribe message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_UNSUBSCRIBE:
        {
         SUnsubscribe message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_STREAM:
        {
         SStream message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_GAP:
        {
         SGap message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_REFILL:
        {
         SRefill message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_REQUEST:
        {
         SRequest message;
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_PAGE:
        {
         SPage message;
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_CANCEL_REQUEST:
        {
         SCancelRequest message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_NEW:
        {
         SNew message;
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_QUERY:
        {
         SQuery message;
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_RESULT:
        {
         SResult message;
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_EVENT:
        {
         SEvent message;
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_EVENT_ACK:
        {
         SEventAck message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
      case FRAME_HALT:
        {
         SHalt message={};
         sound=message.Unpack(body,problem) && message.Pack(packed,problem);
         break;
        }
     }
   if(!sound)
      return("-");
   return("="+BytesToHex(packed,0,ArraySize(packed)));
  }

// Read a body as a message that a terminal sends, and send it.
bool SendBody(const int type,const uchar &body[])
  {
   string problem="";
   switch(type)
     {
      case FRAME_BUSY:
        {
         SBusy message={};
         return(message.Unpack(body,problem) && g_session.Send(message));
        }
      case FRAME_STREAM:
        {
         SStream message={};
         return(message.Unpack(body,problem) && g_session.Send(message));
        }
      case FRAME_GAP:
        {
         SGap message={};
         return(message.Unpack(body,problem) && g_session.Send(message));
        }
      case FRAME_PAGE:
        {
         SPage message;
         return(message.Unpack(body,problem) && g_session.Send(message));
        }
      case FRAME_RESULT:
        {
         SResult message;
         return(message.Unpack(body,problem) && g_session.Send(message));
        }
      case FRAME_EVENT:
        {
         SEvent message;
         return(message.Unpack(body,problem) && g_session.Send(message));
        }
     }
   return(false);
  }

// What there is to tell of the session, and its events since the last time.
string Status(void)
  {
   string text=StringFormat("state=%d next=%I64d wants=%d queued=%d flight=%d pages=%d",
                            (int)g_session.State(),g_session.NextDeadline(),(int)g_session.WantsToSend(),
                            g_session.MarketQueued(),g_session.MarketInFlight(),g_session.PagesQueued());
   text+=StringFormat(" capabilities=%I64u epoch=%I64u rtt=%I64d",g_session.Capabilities(),g_session.RelayEpoch(),g_session.RttUs());
   if(g_session.HasClockOffset())
      text+=StringFormat(" offset=%I64d",g_session.ClockOffsetUs());
   SSessionEvent event;
   while(g_session.NextEvent(event))
     {
      if(event.kind==SESSION_EVENT_CLOSED)
         text+=StringFormat(" closed:%d:%d:%u",event.code,(int)event.by_peer,event.retry_after_ms);
      else
         text+=StringFormat(" %s:%d:",(event.kind==SESSION_EVENT_LOGGED_ON ? "opened" : "message"),event.type)+Repacked(event.type,event.body);
     }
   return(text);
  }

string LogonSecrets(const uchar &key[],const uchar &hello[],const uchar &challenge[])
  {
   CLogonSecrets secrets;
   if(!secrets.Derive(key,hello,challenge))
      return("-");
   string text=BytesToHex(secrets.m_transcript,0,SHA256_SIZE);
   text+=" "+BytesToHex(secrets.m_relay_proof,0,SHA256_SIZE);
   text+=" "+BytesToHex(secrets.m_terminal_proof,0,SHA256_SIZE);
   text+=" "+BytesToHex(secrets.m_relay_key,0,SHA256_SIZE);
   text+=" "+BytesToHex(secrets.m_terminal_key,0,SHA256_SIZE);
   return(text);
  }

string HmacOf(const uchar &key[],const uchar &data[])
  {
   CHmac hmac;
   uchar hash[];
   if(!hmac.Key(key) || !hmac.Run(data,0,ArraySize(data)) || !hmac.CopyHash(hash,SHA256_SIZE))
      return("-");
   return(BytesToHex(hash,0,SHA256_SIZE));
  }

// The values of a map by their keys, as CMsgPackMap reads them.
string MapOf(const uchar &bytes[])
  {
   CMsgPackMap map;
   if(!map.Attach(bytes))
      return("-");
   string text=IntegerToString(map.Size());
   for(int i=0; i<map.Size(); i++)
     {
      string key=map.Key(i);
      string word="";
      long integer=0;
      ulong number=0;
      double value=0.0;
      bool flag=false;
      uchar utf8[];
      int count=TextToUtf8(key,utf8);
      text+=" "+BytesToHex(utf8,0,count)+"=";
      if(map.GetText(key,word))
        {
         count=TextToUtf8(word,utf8);
         text+="text:"+BytesToHex(utf8,0,count);
        }
      else
         if(map.GetBool(key,flag))
            text+=(flag ? "true" : "false");
         else
            if(map.GetInteger(key,integer))
               text+=IntegerToString(integer);
            else
               if(map.GetUnsigned(key,number))
                  text+=StringFormat("%I64u",number);
               else
                  if(map.GetDouble(key,value))
                     text+=StringFormat("bits:%I64u",DoubleToBits(value));
                  else
                     text+=StringFormat("kind:%d",(int)map.Kind(key));
     }
   return(text);
  }

string Begin(const uchar &body[],const long now_us,const int deadline_ms)
  {
   SHello hello={};
   string problem="";
   if(!hello.Unpack(body,problem))
      return("- "+problem);
   if(!g_session.Begin(g_key,hello,now_us,deadline_ms))
      return("- "+g_session.Problem());
   return(Status());
  }

string Answer(const string line)
  {
   string words[];
   uchar first[];
   uchar second[];
   uchar third[];
   int count=StringSplit(line,' ',words);
   if(count<1)
      return("?");
   string what=words[0];
   if(what=="key" && count==2)
      return(IntegerToString(HexToBytes(words[1],g_key)));
   if(what=="hmac" && count==3 && HexToBytes(words[1],first)>=0 && HexToBytes(words[2],second)>=0)
      return(HmacOf(first,second));
   if(what=="crc" && count==2 && HexToBytes(words[1],first)>=0)
     {
      CCrc32 crc;
      return(StringFormat("%u",crc.Of(first)));
     }
   if(what=="logon" && count==4 && HexToBytes(words[1],first)>=0 && HexToBytes(words[2],second)>=0 && HexToBytes(words[3],third)>=0)
      return(LogonSecrets(first,second,third));
   if(what=="message" && count==3 && HexToBytes(words[2],first)>=0)
      return(Repacked((int)StringToInteger(words[1]),first));
   if(what=="map" && count==2 && HexToBytes(words[1],first)>=0)
      return(MapOf(first));
   if(what=="begin" && count==4 && HexToBytes(words[1],first)>=0)
      return(Begin(first,StringToInteger(words[2]),(int)StringToInteger(words[3])));
   if(what=="receive" && count==3 && HexToBytes(words[1],first)>=0)
     {
      g_session.ReceiveData(first,ArraySize(first),StringToInteger(words[2]));
      return(Status());
     }
   if(what=="timer" && count==2)
     {
      g_session.HandleTimer(StringToInteger(words[1]));
      return(Status());
     }
   if(what=="test" && count==2)
     {
      g_session.Test(StringToInteger(words[1]));
      return(Status());
     }
   if(what=="eof")
     {
      g_session.ReceiveEof();
      return(Status());
     }
   if(what=="send" && count==3 && HexToBytes(words[2],first)>=0)
     {
      string sent=(SendBody((int)StringToInteger(words[1]),first) ? "sent " : "refused ");
      return(sent+Status());
     }
   if(what=="market" && count==2 && HexToBytes(words[1],first)>=0)
     {
      CByteBuffer body;
      bool sent=body.AppendAll(first) && g_session.SendMarket(body);
      return((sent ? "sent " : "refused ")+Status());
     }
   if(what=="state" && count==2 && HexToBytes(words[1],first)>=0)
     {
      SHeartbeat heartbeat={};
      string problem="";
      if(!heartbeat.Unpack(first,problem))
         return("- "+problem);
      g_session.TerminalState(heartbeat.state);
      return(Status());
     }
   if(what=="logout" && count==3)
     {
      g_session.Logout((int)StringToInteger(words[1]),"the end",(uint)StringToInteger(words[2]));
      return(Status());
     }
   if(what=="out" && count==2)
     {
      CByteBuffer out;
      int bytes=g_session.DataToSend(out,(int)StringToInteger(words[1]));
      return(StringFormat("%d ",bytes)+out.Hex());
     }
   return("?");
  }

void OnStart(void)
  {
   ResetLastError();
   int cases=FileOpen("wire_cases.txt",FILE_READ|FILE_TXT|FILE_ANSI,0,CP_UTF8);
   if(cases==INVALID_HANDLE)
     {
      Print("wire_cases.txt cannot be opened: error ",GetLastError());
      return;
     }
   ResetLastError();
   int results=FileOpen("wire_results.txt",FILE_WRITE|FILE_TXT|FILE_ANSI,0,CP_UTF8);
   if(results==INVALID_HANDLE)
     {
      Print("wire_results.txt cannot be opened: error ",GetLastError());
      FileClose(cases);
      return;
     }
   while(!FileIsEnding(cases))
     {
      string line=FileReadString(cases);
      if(line=="")
         continue;
      string answer=Answer(line)+"\n";
      if(FileWriteString(results,answer)==0)
         Print("wire_results.txt cannot be written");
     }
   FileClose(results);
   FileClose(cases);
  }
