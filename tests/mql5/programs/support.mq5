//+------------------------------------------------------------------+
//|                                                      support.mq5 |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// For tests only: the identity, and the connection, as the tests ask for them.
#property version     "1.00"
#property description "Test of identity and connection"

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Support/Identity.mqh>
#include <Bridge/Support/Log.mqh>
#include <Bridge/Net/BackOff.mqh>
#include <Bridge/Net/SocketTransport.mqh>

input string InpWhat="identity";     // identity, echo, farewell, log or backoff
input string InpAlias="demo";        // alias
input string InpServer="Demo-Server"; // trade server
input string InpEpoch="0";           // relay_epoch to remember
input int    InpConnections=1;          // how many connections to count
input string InpHost="127.0.0.1";     // where to connect to
input int    InpPort=0;                 // its port
input int    InpBytes=0;             // echo: so many bytes, and then the end
input int    InpForMs=5000;             // echo: no longer than this

void TryIdentity(void)
  {
   CIdentity identity;
   uchar key[];
   uchar out[];
   if(ArrayResize(key,WIRE_KEY_SIZE)!=WIRE_KEY_SIZE)
      return;
   ArrayInitialize(key,1);
   bool opened=identity.Open(InpAlias,77,InpServer,key);
   Print("open ",opened," ",identity.Problem());
   Print("durable ",identity.Durable()," ",identity.DurabilityProblem());
   if(!opened)
      return;
   for(int i=0; i<InpConnections; i++)
     {
      bool raised=identity.NextConnection();
      Print("connection ",raised," ",identity.ConnectionCounter()," ",identity.Problem());
     }
   if(identity.MakeNonce(key,-5,77,out))
      Print("nonce ",BytesToHex(out,0,ArraySize(out)));
   bool seen=identity.SeeRelayEpoch((ulong)StringToInteger(InpEpoch));
   Print("epoch ",seen," ",identity.RelayEpochSeen()," ",identity.Problem());
   if(identity.CopyIncarnation(out))
      Print("incarnation ",BytesToHex(out,0,ArraySize(out)));
   identity.Close();
   identity.Close();
  }

void TryEcho(void)
  {
   CSocketTransport transport;
   CByteBuffer data;
   uchar buffer[];
   bool connected=transport.Connect(InpHost,InpPort,2000);
   Print("connect ",connected," denied ",transport.Denied()," error ",transport.LastErrorCode()," ",transport.Problem());
   if(!connected || ArrayResize(buffer,65536)!=65536)
      return;
   int echoed=0;
   int longest_us=0;
   ulong begin_us=GetMicrosecondCount();
   while(transport.IsOpen() && GetMicrosecondCount()-begin_us<(ulong)InpForMs*1000)
     {
      ulong now_us=GetMicrosecondCount();
      int count=transport.Receive(buffer,(int)ArraySize(buffer));
      if(count<0)
         break;
      data.Clear();
      if(count>0 && (!data.Append(buffer,0,count) || !transport.Queue(data)))
         break;
      if(!transport.Flush())
         break;
      int took_us=(int)(GetMicrosecondCount()-now_us);
      if(took_us>longest_us)
         longest_us=took_us;
      echoed+=count;
      if(InpBytes>0 && echoed>=InpBytes && transport.Pending()==0)
         break;
      if(count==0)
         Sleep(1);
     }
   Print("echoed ",echoed);
   Print("longest ",longest_us);
   Print("after ",(GetMicrosecondCount()-begin_us)/1000," ms");
   Print("open ",transport.IsOpen()," ",transport.Problem());
   transport.Close();
   transport.Close();
  }

// Say something and end, with one byte of the peer's unread.
void TryFarewell(void)
  {
   CSocketTransport transport;
   CByteBuffer data;
   uchar buffer[];
   uchar said[];
   if(!transport.Connect(InpHost,InpPort,2000) || ArrayResize(buffer,16)!=16)
      return;
   while(transport.Receive(buffer,InpBytes)==0)
      Sleep(1);
   const int size=StringToCharArray("farewell",said,0,8,CP_UTF8);
   if(data.Append(said,0,size) && transport.Queue(data) && transport.Flush())
      transport.Discard(buffer,16);
   transport.Close();
  }

void TryLog(void)
  {
   CLog log;
   log.Name("demo");
   log.Info("one");
   log.Debug("not shown");
   for(int i=0; i<5; i++)
      log.Warning("again");
   for(int i=0; i<LOG_LINES-2; i++)
      log.Info("line "+IntegerToString(i));
   log.Error("pushes one out");
   log.Info("pushes the next out");
   log.Error("x");
   log.Error("x");
   log.Flush();
  }

void TryBackOff(void)
  {
   CBackOff back_off;
   back_off.Seed(5);
   string text="";
   for(int i=0; i<6; i++)
      text+=IntegerToString(back_off.DelayUs(0))+" ";
   Print("growing ",text);
   text="";
   for(int i=0; i<2; i++)
      text+=IntegerToString(back_off.DelayUs(999999))+" ";
   Print("open ",text);
   Print("anew ",back_off.DelayUs(1000000));
   Print("refused ",back_off.DelayUs(0,LOGOUT_UNKNOWN_KEY,true,0));
   Print("asked ",back_off.DelayUs(0,LOGOUT_NORMAL,true,7000));
   Print("bounded ",back_off.DelayUs(0,LOGOUT_NORMAL,true,UINT_MAX));
   Print("own ",back_off.DelayUs(0,LOGOUT_NORMAL,false,7000));
  }

void OnStart(void)
  {
   if(InpWhat=="identity")
      TryIdentity();
   if(InpWhat=="echo")
      TryEcho();
   if(InpWhat=="farewell")
      TryFarewell();
   if(InpWhat=="log")
      TryLog();
   if(InpWhat=="backoff")
      TryBackOff();
  }
