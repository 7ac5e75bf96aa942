//+------------------------------------------------------------------+
//|                                              SocketTransport.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The TCP connection to the relay. The only file that names Socket*.
//
// Rules: never a read that may block (only what SocketIsReadable counts is read); SocketTimeouts
// right after the connect, because without it a send may block for ever; -1 from SocketSend means
// close, never go on with a frame; a handle is closed exactly once; every failure is one sentence
// in Problem() that says what to click. Only the return value of SocketRead counts, never the
// array's size.

#ifndef BRIDGE_NET_SOCKETTRANSPORT_MQH
#define BRIDGE_NET_SOCKETTRANSPORT_MQH

#include <Bridge/Support/Bytes.mqh>

//+------------------------------------------------------------------+
//| One connection at a time; Connect() after Close() makes another. |
//+------------------------------------------------------------------+
class CSocketTransport
  {
public:
                     CSocketTransport(void);
                    ~CSocketTransport(void);
   bool              Connect(const string host,const int port,const uint timeout_ms); // blocks
   bool              IsOpen(void) const { return(m_handle!=INVALID_HANDLE); }
   // Read what is there into the begin of a buffer: more than 0: so many bytes; 0: nothing now;
   // -1: the connection is over, and closed here.
   int               Receive(uchar &buffer[],const int limit);
   // Read what is there and forget it: what is closed with something unread may take back what was
   // sent at last.
   void              Discard(uchar &buffer[],const int limit);
   // What is to be sent: append to it whole frames, then Flush().
   bool              Queue(const CByteBuffer &data);
   int               Pending(void) const { return(m_out.Size()-m_sent); } // queued, not yet taken
   bool              Flush(const bool may_block=false); // false: the connection is over
   bool              Hurry(const uint limit_ms);        // false: the connection is over
   void              Close(void);
   string            Problem(void) const { return(m_problem); }
   int               LastErrorCode(void) const { return(m_error); }
   bool              Denied(void) const { return(m_denied); } // the address is not on the allow-list

private:
   int               m_handle;
   string            m_address;       // host:port, for sentences
   string            m_host;
   string            m_problem;
   int               m_error;
   bool              m_denied;
   CByteBuffer       m_out;
   int               m_sent;          // bytes of m_out that were taken
   ulong             m_hurry_until_us; // nothing is given to SocketSend from then on; 0: always
   uchar             m_chunk[];
   bool              m_one_seen;      // SocketIsReadable says 1 since m_one_since_us
   ulong             m_one_since_us;

   int               Judge(const int read,const uint readable,const int error);
   void              Fail(const string what,const int error);
   string            Advice(const int error) const;
  };

//--- so long SocketSend may block; without it, for ever
#define TRANSPORT_SEND_TIMEOUT_MS    5000
#define TRANSPORT_RECEIVE_TIMEOUT_MS 1000
#define TRANSPORT_READ_TIMEOUT_MS    5
//--- what one SocketSend is given: it may block until all of it is taken
#define TRANSPORT_SEND_CHUNK         8192
#define TRANSPORT_COMPACT_BYTES      65536
//--- a SocketSend that took a part is called again, when the connection says that it takes more and
//--- no more time than this went by: else a frame would wait for an event for each part
#define TRANSPORT_PARTS_US           2000
//--- SocketIsReadable may say 1 with nothing there. No frame has one byte, so 1 is believed, and
//--- read, only when it has stayed so long: then the peer has closed.
#define TRANSPORT_ONE_BYTE_US        50000
//--- numbers of ENUM_ERR, by MQL5's table of runtime errors
#define TRANSPORT_ERR_NOT_ALLOWED    4014
#define TRANSPORT_ERR_HANDLE         5270
#define TRANSPORT_ERR_TOO_MANY       5271
#define TRANSPORT_ERR_CONNECT        5272
#define TRANSPORT_ERR_IO             5273
#define TRANSPORT_TLS_PORT           443
//--- reads of what nobody needs any more
#define TRANSPORT_DISCARDS           64

CSocketTransport::CSocketTransport(void) : m_handle(INVALID_HANDLE),m_address(""),m_host(""),m_problem(""),
                                           m_error(0),m_denied(false),m_sent(0),m_hurry_until_us(0),m_one_seen(false),m_one_since_us(0)
  {
  }

CSocketTransport::~CSocketTransport(void)
  {
   Close();
  }

// Dial; blocks for up to timeout_ms. False: Problem() has the reason.
bool CSocketTransport::Connect(const string host,const int port,const uint timeout_ms)
  {
   Close();
   m_problem="";
   m_error=0;
   m_denied=false;
   m_hurry_until_us=0;
   m_host=host;
   m_address=StringFormat("%s:%d",host,port);
   if(port<1 || port>65535)
     {
      m_problem=StringFormat("%d is no port: set InpRelayPort to the relay's port for terminals",port);
      return(false);
     }
   if(port==TRANSPORT_TLS_PORT)
     {
      m_problem="port 443 cannot be used: MetaTrader begins TLS there by itself; choose another port for the relay";
      return(false);
     }
   ResetLastError();
   int handle=SocketCreate();
   if(handle==INVALID_HANDLE)
     {
      Fail("no socket could be made",GetLastError());
      return(false);
     }
   m_handle=handle;
   ResetLastError();
   if(!SocketConnect(m_handle,host,(uint)port,timeout_ms))
     {
      Fail("the relay at "+m_address+" cannot be reached",GetLastError());
      return(false);
     }
   ResetLastError();
   if(!SocketTimeouts(m_handle,TRANSPORT_SEND_TIMEOUT_MS,TRANSPORT_RECEIVE_TIMEOUT_MS))
     {
      Fail("the connection's time-outs cannot be set",GetLastError());
      return(false);
     }
   return(true);
  }

// A read that gave nothing although the socket was readable: 0 to go on, -1 when it is over.
int CSocketTransport::Judge(const int read,const uint readable,const int error)
  {
   bool connected=SocketIsConnected(m_handle);
   //--- a time-out may set an error of its own: with one doubtful byte only the state decides
   if(connected && (error==0 || readable<=1))
      return(0);
   if(read==0 && connected)
      return(0);
   Fail("the connection to the relay at "+m_address+" is over",error);
   return(-1);
  }

int CSocketTransport::Receive(uchar &buffer[],const int limit)
  {
   if(m_handle==INVALID_HANDLE)
      return(-1);
   if(limit<1)
      return(0);
   ResetLastError();
   uint readable=SocketIsReadable(m_handle);
   int error=GetLastError();
   if(readable==0)
     {
      m_one_seen=false;
      if(error==0 && SocketIsConnected(m_handle))
         return(0);
      Fail("the connection to the relay at "+m_address+" is over",error);
      return(-1);
     }
   if(readable==1)
     {
      ulong now_us=GetMicrosecondCount();
      if(!m_one_seen)
        {
         m_one_seen=true;
         m_one_since_us=now_us;
        }
      if(now_us-m_one_since_us<TRANSPORT_ONE_BYTE_US)
         return(0);
     }
   m_one_seen=false;
   uint wanted=(readable>(uint)limit ? (uint)limit : readable);
   ResetLastError();
   int count=SocketRead(m_handle,buffer,wanted,TRANSPORT_READ_TIMEOUT_MS);
   error=GetLastError();
   if(count<=0)
      return(Judge(count,readable,error));
   //--- the array may hold more, of earlier reads: only the returned number counts
   if(count>(int)wanted || count>ArraySize(buffer))
     {
      Fail("SocketRead gave more than it was asked for",error);
      return(-1);
     }
   return(count);
  }

void CSocketTransport::Discard(uchar &buffer[],const int limit)
  {
   //--- here also one byte is believed at once: nothing is lost by a read that finds none
   for(int i=0; i<TRANSPORT_DISCARDS && m_handle!=INVALID_HANDLE; i++)
     {
      uint readable=SocketIsReadable(m_handle);
      if(readable==0 || SocketRead(m_handle,buffer,(readable>(uint)limit ? (uint)limit : readable),TRANSPORT_READ_TIMEOUT_MS)<=0)
         return;
     }
  }

bool CSocketTransport::Queue(const CByteBuffer &data)
  {
   if(m_handle==INVALID_HANDLE)
      return(false);
   if(m_sent>0 && m_sent==m_out.Size())
     {
      m_out.Clear();
      m_sent=0;
     }
   if(m_sent>=TRANSPORT_COMPACT_BYTES)
     {
      if(!m_out.RemoveFront(m_sent))
         return(false);
      m_sent=0;
     }
   return(m_out.AppendBuffer(data));
  }

// Hand what is queued to the connection. It stops when the connection takes no more; with
// may_block it waits, up to the send time-out. False: the connection is over, and closed.
bool CSocketTransport::Flush(const bool may_block)
  {
   if(m_handle==INVALID_HANDLE)
      return(false);
   ulong begin_us=GetMicrosecondCount();
   while(m_out.Size()-m_sent>0)
     {
      int error=0;
      if(m_hurry_until_us>0 && GetMicrosecondCount()>=m_hurry_until_us)
        {
         Fail("the relay at "+m_address+" does not read in time",0);
         return(false);
        }
      ResetLastError();
      if(!may_block && !SocketIsWritable(m_handle))
        {
         error=GetLastError();
         if(error==0 && SocketIsConnected(m_handle))
            return(true);
         Fail("the connection to the relay at "+m_address+" is over",error);
         return(false);
        }
      int count=m_out.Size()-m_sent;
      if(count>TRANSPORT_SEND_CHUNK)
         count=TRANSPORT_SEND_CHUNK;
      if(m_out.CopyTo(m_chunk,m_sent,count)!=count)
        {
         Fail("no memory to send",0);
         return(false);
        }
      ResetLastError();
      int sent=SocketSend(m_handle,m_chunk,(uint)count);
      error=GetLastError();
      if(sent<0 || sent>count)
        {
         //--- a part may be with the relay: only a new connection can be trusted
         Fail("sending to the relay at "+m_address+" failed",error);
         return(false);
        }
      m_sent+=sent;
      const bool at_once=(sent>0 && GetMicrosecondCount()-begin_us<TRANSPORT_PARTS_US);
      if(sent<count && !may_block && !at_once)
         return(true);
      if(sent==0 && (!SocketIsConnected(m_handle) || GetMicrosecondCount()-begin_us>=TRANSPORT_SEND_TIMEOUT_MS*1000))
        {
         Fail("the relay at "+m_address+" does not read",error);
         return(false);
        }
     }
   m_out.Clear();
   m_sent=0;
   return(true);
  }

// All that is sent from now on takes so long at most, however slowly it is taken: half of it for
// SocketSend's last wait, half for those before. False: the connection is over, and closed.
bool CSocketTransport::Hurry(const uint limit_ms)
  {
   if(m_handle==INVALID_HANDLE)
      return(false);
   ResetLastError();
   if(!SocketTimeouts(m_handle,limit_ms/2,TRANSPORT_RECEIVE_TIMEOUT_MS))
     {
      Fail("the connection's time-outs cannot be set",GetLastError());
      return(false);
     }
   m_hurry_until_us=GetMicrosecondCount()+(ulong)limit_ms*500;
   return(true);
  }

// Close the handle, once; what was queued is forgotten.
void CSocketTransport::Close(void)
  {
   m_out.Clear();
   m_sent=0;
   m_one_seen=false;
   if(m_handle==INVALID_HANDLE)
      return;
   int handle=m_handle;
   m_handle=INVALID_HANDLE;
   if(!SocketClose(handle) && m_problem=="")
      m_problem="the terminal could not close the connection";
  }

void CSocketTransport::Fail(const string what,const int error)
  {
   m_error=error;
   m_denied=(error==TRANSPORT_ERR_NOT_ALLOWED);
   m_problem=what+Advice(error);
   Close();
  }

string CSocketTransport::Advice(const int error) const
  {
   string allow="open Tools > Options > Expert Advisors, tick \"Allow WebRequest for listed URL\" and add "+m_host;
   switch(error)
     {
      case 0:
         return("");
      case TRANSPORT_ERR_NOT_ALLOWED:
         return(StringFormat(" (error %d): the address is not allowed: ",error)+allow);
      case TRANSPORT_ERR_CONNECT:
         return(StringFormat(" (error %d): start the relay with \"bridge run\" and compare the port; if it runs, ",error)+allow);
      case TRANSPORT_ERR_TOO_MANY:
         return(StringFormat(" (error %d): this program has 128 sockets open already; remove it from the chart and attach it again",error));
      case TRANSPORT_ERR_IO:
         return(StringFormat(" (error %d): it was cut, or the relay has ended",error));
     }
   return(StringFormat(" (error %d)",error));
  }

#endif // BRIDGE_NET_SOCKETTRANSPORT_MQH
