//+------------------------------------------------------------------+
//|                                              TrialConnection.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// A connection that is opened and closed at once, to see what a terminal says about an address.
// May touch: sockets.

#ifndef BRIDGE_NET_TRIALCONNECTION_MQH
#define BRIDGE_NET_TRIALCONNECTION_MQH

class CTrialConnection
  {
public:
   // What became of it, with _LastError; blocks for up to timeout_ms.
   static string     Try(const string host,const int port,const uint timeout_ms);

private:
   static string     Silence(const int handle);
  };

string CTrialConnection::Try(const string host,const int port,const uint timeout_ms)
  {
   ResetLastError();
   const int handle=SocketCreate();
   if(handle==INVALID_HANDLE)
      return(StringFormat("SocketCreate failed, error %d",GetLastError()));
   ResetLastError();
   const bool connected=SocketConnect(handle,host,(uint)port,timeout_ms);
   string told=(connected ? "connected" : StringFormat("refused, error %d",GetLastError()));
   if(connected)
      told+=Silence(handle);
   ResetLastError();
   if(!SocketClose(handle))
      told+=StringFormat("; SocketClose failed, error %d",GetLastError());
   return(told);
  }

// The relay speaks second: nothing can be there.
string CTrialConnection::Silence(const int handle)
  {
   ResetLastError();
   const uint readable=SocketIsReadable(handle);
   return(StringFormat("; SocketIsReadable says %u with nothing there, error %d",readable,GetLastError()));
  }

#endif // BRIDGE_NET_TRIALCONNECTION_MQH
