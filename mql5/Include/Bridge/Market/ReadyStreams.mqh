//+------------------------------------------------------------------+
//|                                                 ReadyStreams.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The streams that have something to send, in the order of their turns.

#ifndef BRIDGE_MARKET_READYSTREAMS_MQH
#define BRIDGE_MARKET_READYSTREAMS_MQH

#include <Bridge/Market/TickStream.mqh>

//+------------------------------------------------------------------+
//| A queue of streams, linked by their m_next_ready                 |
//+------------------------------------------------------------------+
class CReadyStreams
  {
private:
   CTickStream      *m_first;
   CTickStream      *m_last;

public:
                     CReadyStreams(void) : m_first(NULL),m_last(NULL) { }
   CTickStream      *First(void) const { return(m_first); }
   void              Clear(void) { m_first=NULL; m_last=NULL; }
   void              Enqueue(CTickStream *stream);
   void              Dequeue(CTickStream *stream);
  };

// Let a stream wait for its turn, if it has something to send.
void CReadyStreams::Enqueue(CTickStream *stream)
  {
   if(stream.m_queued || stream.Unsent()==0)
      return;
   stream.m_queued=true;
   stream.m_next_ready=NULL;
   if(m_last==NULL)
      m_first=stream;
   else
      m_last.m_next_ready=stream;
   m_last=stream;
  }

void CReadyStreams::Dequeue(CTickStream *stream)
  {
   if(!stream.m_queued)
      return;
   stream.m_queued=false;
   if(m_first==stream)
     {
      m_first=stream.m_next_ready;
      if(m_first==NULL)
         m_last=NULL;
     }
   else
     {
      CTickStream *before=m_first;
      while(before!=NULL && before.m_next_ready!=stream)
         before=before.m_next_ready;
      if(before!=NULL)
        {
         before.m_next_ready=stream.m_next_ready;
         if(m_last==stream)
            m_last=before;
        }
     }
   stream.m_next_ready=NULL;
  }

#endif // BRIDGE_MARKET_READYSTREAMS_MQH
