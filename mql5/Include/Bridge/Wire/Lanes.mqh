//+------------------------------------------------------------------+
//|                                                        Lanes.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What waits to be sent: three lanes, and how much market data may be under way.
//
// Commands go before ticks, ticks before pages. Bytes that the kernel has cannot be overtaken, so
// ticks and pages together are bounded by a window of unacknowledged bytes.
// May touch: Bytes.mqh. What must change together: this file and bridge/wire/lanes.py (a terminal
// sends no HALT, so nothing overtakes a command here).

#ifndef BRIDGE_WIRE_LANES_MQH
#define BRIDGE_WIRE_LANES_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Wire/Spec.mqh>

// The body of a frame that waits.
struct SQueuedBody
  {
   int               type;
   uchar             body[];
                     SQueuedBody(void) : type(0) {}
  };

//+------------------------------------------------------------------+
//| First in, first out; a ring that doubles when it is full.        |
//+------------------------------------------------------------------+
class CBodyQueue
  {
private:
   SQueuedBody       m_items[];
   int               m_first;
   int               m_count;

public:
                     CBodyQueue(void) : m_first(0),m_count(0) {}
   int               Count(void) const { return(m_count); }
   int               FirstSize(void) const;
   bool              Push(const int type,const uchar &data[],const int count);
   bool              Pop(int &type,uchar &body[]);
   void              Clear(void);

private:
   bool              Grow(void);
  };

int CBodyQueue::FirstSize(void) const
  {
   return(m_count>0 ? ArraySize(m_items[m_first].body) : 0);
  }

bool CBodyQueue::Grow(void)
  {
   int room=ArraySize(m_items);
   if(m_count<room)
      return(true);
   int next=(room<8 ? 8 : 2*room);
   SQueuedBody old[];
   if(ArrayResize(old,m_count)!=m_count)
      return(false);
   for(int i=0; i<m_count; i++)
     {
      int from=(m_first+i)%room;
      old[i].type=m_items[from].type;
      if(!ArraySwap(old[i].body,m_items[from].body))
         return(false);
     }
   if(ArrayResize(m_items,next)!=next)
     {
      m_count=0;
      return(false);
     }
   for(int i=0; i<m_count; i++)
     {
      m_items[i].type=old[i].type;
      if(!ArraySwap(m_items[i].body,old[i].body))
         return(false);
     }
   m_first=0;
   return(true);
  }

bool CBodyQueue::Push(const int type,const uchar &data[],const int count)
  {
   if(!Fits(ArraySize(data),0,count) || !Grow())
      return(false);
   int at=(m_first+m_count)%ArraySize(m_items);
   m_items[at].type=type;
   if(ArrayResize(m_items[at].body,count)!=count)
      return(false);
   if(count>0 && ArrayCopy(m_items[at].body,data,0,0,count)!=count)
      return(false);
   m_count++;
   return(true);
  }

bool CBodyQueue::Pop(int &type,uchar &body[])
  {
   if(m_count==0)
      return(false);
   type=m_items[m_first].type;
   int count=ArraySize(m_items[m_first].body);
   if(ArrayResize(body,count)!=count || (count>0 && ArrayCopy(body,m_items[m_first].body,0,0,count)!=count))
      return(false);
   ArrayFree(m_items[m_first].body);
   m_first=(m_first+1)%ArraySize(m_items);
   m_count--;
   return(true);
  }

void CBodyQueue::Clear(void)
  {
   for(int i=0; i<ArraySize(m_items); i++)
      ArrayFree(m_items[i].body);
   m_first=0;
   m_count=0;
  }

// A market frame that was handed out and is not acknowledged.
struct SInFlight
  {
   ulong             seq;
   int               size;
  };

//+------------------------------------------------------------------+
//| Bodies of frames in the order in which they will become frames.  |
//+------------------------------------------------------------------+
class CSendLanes
  {
private:
   CBodyQueue        m_commands;
   CBodyQueue        m_market;
   CBodyQueue        m_pages;
   int               m_command_bytes;
   int               m_market_bytes;
   int               m_in_flight_bytes;
   SInFlight         m_in_flight[];
   int               m_flight_first;
   int               m_flight_count;

public:
                     CSendLanes(void);
   void              Clear(void);                    // forget everything, the frames in flight too
   int               CommandBytes(void) const { return(m_command_bytes); }
   int               MarketBytes(void) const { return(m_market_bytes); }
   int               InFlightBytes(void) const { return(m_in_flight_bytes); }
   int               Pages(void) const { return(m_pages.Count()); }
   bool              Push(const int type,const uchar &data[],const int count);
   bool              Ready(void) const;
   // Type and body of the frame that goes out next, as frame seq.
   bool              Pop(const ulong seq,int &type,uchar &body[]);
   void              Acknowledge(const ulong seq);   // every frame up to seq was taken
   void              DropMarket(void);
   void              DropAll(void);                  // nobody reads any more

private:
   bool              Fly(const ulong seq,const int size);
   bool              MarketFits(void) const;
   bool              PageFits(void) const;
  };

CSendLanes::CSendLanes(void) : m_command_bytes(0),m_market_bytes(0),m_in_flight_bytes(0),m_flight_first(0),m_flight_count(0)
  {
  }

void CSendLanes::Clear(void)
  {
   DropAll();
   m_in_flight_bytes=0;
   m_flight_first=0;
   m_flight_count=0;
  }

bool CSendLanes::Push(const int type,const uchar &data[],const int count)
  {
   if(type==FRAME_TICKS)
     {
      if(!m_market.Push(type,data,count))
         return(false);
      m_market_bytes+=count+WIRE_FRAME_OVERHEAD;
      return(true);
     }
   if(type==FRAME_PAGE)
      return(m_pages.Push(type,data,count));
   if(!m_commands.Push(type,data,count))
      return(false);
   m_command_bytes+=count+WIRE_FRAME_OVERHEAD;
   return(true);
  }

// Ticks that wait go before pages, also when they do not fit the window yet.
bool CSendLanes::MarketFits(void) const
  {
   return(m_market.Count()>0 && m_in_flight_bytes+m_market.FirstSize()+WIRE_FRAME_OVERHEAD<=WIRE_MARKET_WINDOW);
  }

bool CSendLanes::PageFits(void) const
  {
   return(m_market.Count()==0 && m_pages.Count()>0 &&
          m_in_flight_bytes+m_pages.FirstSize()+WIRE_FRAME_OVERHEAD<=WIRE_MARKET_WINDOW);
  }

bool CSendLanes::Ready(void) const
  {
   return(m_commands.Count()>0 || MarketFits() || PageFits());
  }

bool CSendLanes::Pop(const ulong seq,int &type,uchar &body[])
  {
   if(m_commands.Count()>0)
     {
      if(!m_commands.Pop(type,body))
         return(false);
      m_command_bytes-=ArraySize(body)+WIRE_FRAME_OVERHEAD;
      return(true);
     }
   if(MarketFits())
     {
      if(!m_market.Pop(type,body))
         return(false);
      m_market_bytes-=ArraySize(body)+WIRE_FRAME_OVERHEAD;
      return(Fly(seq,ArraySize(body)+WIRE_FRAME_OVERHEAD));
     }
   if(PageFits())
      return(m_pages.Pop(type,body) && Fly(seq,ArraySize(body)+WIRE_FRAME_OVERHEAD));
   return(false);
  }

bool CSendLanes::Fly(const ulong seq,const int size)
  {
   int room=ArraySize(m_in_flight);
   if(m_flight_first+m_flight_count>=room)
     {
      //--- the window bounds the number: move what is left to the begin, or grow
      for(int i=0; i<m_flight_count; i++)
        {
         m_in_flight[i].seq=m_in_flight[m_flight_first+i].seq;
         m_in_flight[i].size=m_in_flight[m_flight_first+i].size;
        }
      m_flight_first=0;
      if(2*m_flight_count>=room)
        {
         room=(room<64 ? 64 : 2*room);
         if(ArrayResize(m_in_flight,room)!=room)
            return(false);
        }
     }
   int at=m_flight_first+m_flight_count;
   m_in_flight[at].seq=seq;
   m_in_flight[at].size=size;
   m_flight_count++;
   m_in_flight_bytes+=size;
   return(true);
  }

void CSendLanes::Acknowledge(const ulong seq)
  {
   while(m_flight_count>0 && m_in_flight[m_flight_first].seq<=seq)
     {
      m_in_flight_bytes-=m_in_flight[m_flight_first].size;
      m_flight_first++;
      m_flight_count--;
     }
  }

void CSendLanes::DropMarket(void)
  {
   m_market.Clear();
   m_pages.Clear();
   m_market_bytes=0;
  }

void CSendLanes::DropAll(void)
  {
   DropMarket();
   m_commands.Clear();
   m_command_bytes=0;
  }

#endif // BRIDGE_WIRE_LANES_MQH
