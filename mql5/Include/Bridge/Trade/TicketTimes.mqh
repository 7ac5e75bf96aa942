//+------------------------------------------------------------------+
//|                                                  TicketTimes.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Tickets, each with a time, in the order of the tickets: they grow, so a new one goes to the end.
// May touch: nothing.

#ifndef BRIDGE_TRADE_TICKETTIMES_MQH
#define BRIDGE_TRADE_TICKETTIMES_MQH

#define TICKET_TIMES_RESERVE 1024

//+------------------------------------------------------------------+
//| A set of tickets with a time for each                            |
//+------------------------------------------------------------------+
class CTicketTimes
  {
private:
   ulong             m_tickets[];
   long              m_times[];
   int               m_total;

   int               PlaceOf(const ulong ticket) const;
   bool              Reserve(const int total);

public:
                     CTicketTimes(void) : m_total(0) { }
   int               Total(void) const { return(m_total); }
   void              Clear(void) { m_total=0; }
   ulong             Ticket(const int index) const { return(m_tickets[index]); }
   long              Time(const int index) const { return(m_times[index]); }
   bool              Has(const ulong ticket) const;
   long              TimeOf(const ulong ticket,const long otherwise) const;
   bool              Put(const ulong ticket,const long time);   // false: there is no memory
   void              Remove(const ulong ticket);
   void              RemoveBefore(const long time);             // those with an earlier time
   // Those that one of the two has too.
   void              KeepOnly(const CTicketTimes &one,const CTicketTimes &other);
  };

// The first place whose ticket is not smaller.
int CTicketTimes::PlaceOf(const ulong ticket) const
  {
   int low=0;
   int high=m_total;
//--- the usual one: behind all others
   if(high>0 && m_tickets[high-1]<ticket)
      return(high);
   while(low<high)
     {
      const int middle=low+(high-low)/2;
      if(m_tickets[middle]<ticket)
         low=middle+1;
      else
         high=middle;
     }
   return(low);
  }

bool CTicketTimes::Reserve(const int total)
  {
   if(total<=ArraySize(m_tickets) && total<=ArraySize(m_times))
      return(true);
   const int size=total+TICKET_TIMES_RESERVE;
   return(ArrayResize(m_tickets,size)==size && ArrayResize(m_times,size)==size);
  }

bool CTicketTimes::Has(const ulong ticket) const
  {
   const int place=PlaceOf(ticket);
   return(place<m_total && m_tickets[place]==ticket);
  }

long CTicketTimes::TimeOf(const ulong ticket,const long otherwise) const
  {
   const int place=PlaceOf(ticket);
   return(place<m_total && m_tickets[place]==ticket ? m_times[place] : otherwise);
  }

bool CTicketTimes::Put(const ulong ticket,const long time)
  {
   const int place=PlaceOf(ticket);
   if(place<m_total && m_tickets[place]==ticket)
     {
      m_times[place]=time;
      return(true);
     }
   if(!Reserve(m_total+1))
      return(false);
   for(int i=m_total; i>place; i--)
     {
      m_tickets[i]=m_tickets[i-1];
      m_times[i]=m_times[i-1];
     }
   m_tickets[place]=ticket;
   m_times[place]=time;
   m_total++;
   return(true);
  }

void CTicketTimes::Remove(const ulong ticket)
  {
   const int place=PlaceOf(ticket);
   if(place>=m_total || m_tickets[place]!=ticket)
      return;
   m_total--;
   for(int i=place; i<m_total; i++)
     {
      m_tickets[i]=m_tickets[i+1];
      m_times[i]=m_times[i+1];
     }
  }

void CTicketTimes::RemoveBefore(const long time)
  {
   int kept=0;
   for(int i=0; i<m_total; i++)
     {
      if(m_times[i]<time)
         continue;
      m_tickets[kept]=m_tickets[i];
      m_times[kept]=m_times[i];
      kept++;
     }
   m_total=kept;
  }

void CTicketTimes::KeepOnly(const CTicketTimes &one,const CTicketTimes &other)
  {
   int kept=0;
   for(int i=0; i<m_total; i++)
     {
      if(!one.Has(m_tickets[i]) && !other.Has(m_tickets[i]))
         continue;
      m_tickets[kept]=m_tickets[i];
      m_times[kept]=m_times[i];
      kept++;
     }
   m_total=kept;
  }

#endif // BRIDGE_TRADE_TICKETTIMES_MQH
