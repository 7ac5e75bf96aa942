//+------------------------------------------------------------------+
//|                                                  EventPlaces.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The places of events, (done time, ticket): what is sent and not acknowledged, and what the relay's
// journal has for certain.
//
// An EVENT_ACK speaks for what was sent before its event, not for what merely lies before it: a deal
// that shows late has a place behind which the relay is already. Nor for the event itself: only when
// a later one is acknowledged has the RESULT behind it arrived as well.
// May touch: nothing.
// What must change together: this file, TradeEvents.mqh, bridge/sim/trading_events.py.

#ifndef BRIDGE_TRADE_EVENTPLACES_MQH
#define BRIDGE_TRADE_EVENTPLACES_MQH

#include <Bridge/Trade/Constants.mqh>
#include <Bridge/Trade/TicketTimes.mqh>

//--- the kinds with a place
#define EVENTS_OF_DEALS    0
#define EVENTS_OF_ORDERS   1
#define EVENTS_KINDS       2

// Whether a place lies before another one.
bool IsEarlierPlace(const long time_msc,const ulong ticket,const long other_msc,const ulong other_ticket)
  {
   if(time_msc!=other_msc)
      return(time_msc<other_msc);
   return(ticket<other_ticket);
  }

//+------------------------------------------------------------------+
//| What was sent, and what of it has arrived                        |
//+------------------------------------------------------------------+
class CEventPlaces
  {
private:
   long              m_flight_msc[EVENTS_WINDOW];  // places that are sent and not acknowledged
   ulong             m_flight_tickets[EVENTS_WINDOW];
   int               m_in_flight;
   long              m_acked_msc;      // the newest of this session
   //--- what was sent, in that order, from the last one that was acknowledged on: a ring
   long              m_sent_msc[EVENTS_KEPT_MAX];
   ulong             m_sent_tickets[EVENTS_KEPT_MAX];
   int               m_sent_kinds[EVENTS_KEPT_MAX];
   int               m_first;
   int               m_total;
   //--- over sessions
   CTicketTimes      m_arrived[EVENTS_KINDS];
   long              m_furthest_msc;
   ulong             m_furthest_ticket;

   void              NoteArrived(const long time_msc,const ulong ticket);

public:
                     CEventPlaces(void);
   // A session begins at the relay's place: what has arrived is known. Before what was acknowledged
   // it is another journal, or an older copy of it.
   void              Begin(const bool has_cursor,const long time_msc,const ulong ticket,CTicketTimes &known[]);
   void              End(void);
   bool              IsFull(void) const { return(m_in_flight>=EVENTS_WINDOW); }
   // One that is sent now.
   void              Sent(const int kind,const long time_msc,const ulong ticket);
   void              Acknowledge(const long time_msc,const ulong ticket);
   // The newest time up to which this session's relay has what it was sent.
   long              AcknowledgedMsc(void) const { return(m_acked_msc); }
   void              Forget(void);
  };

CEventPlaces::CEventPlaces(void) : m_in_flight(0),
                                   m_acked_msc(0),
                                   m_first(0),
                                   m_total(0),
                                   m_furthest_msc(0),
                                   m_furthest_ticket(0)
  {
   ArrayInitialize(m_flight_msc,0);
   ArrayInitialize(m_flight_tickets,0);
   ArrayInitialize(m_sent_msc,0);
   ArrayInitialize(m_sent_tickets,0);
   ArrayInitialize(m_sent_kinds,0);
  }

void CEventPlaces::Begin(const bool has_cursor,const long time_msc,const ulong ticket,CTicketTimes &known[])
  {
   End();
   m_acked_msc=time_msc;
   if(!has_cursor || IsEarlierPlace(time_msc,ticket,m_furthest_msc,m_furthest_ticket))
     {
      for(int kind=0; kind<EVENTS_KINDS; kind++)
         m_arrived[kind].Clear();
      m_furthest_msc=0;
      m_furthest_ticket=0;
     }
   for(int kind=0; kind<EVENTS_KINDS; kind++)
      for(int i=0; i<m_arrived[kind].Total(); i++)
         //--- without memory it is told again, which does no harm
         if(!known[kind].Put(m_arrived[kind].Ticket(i),m_arrived[kind].Time(i)))
            return;
  }

void CEventPlaces::End(void)
  {
   m_in_flight=0;
   m_first=0;
   m_total=0;
  }

void CEventPlaces::Sent(const int kind,const long time_msc,const ulong ticket)
  {
   if(m_in_flight<EVENTS_WINDOW)
     {
      m_flight_msc[m_in_flight]=time_msc;
      m_flight_tickets[m_in_flight]=ticket;
      m_in_flight++;
     }
   if(m_total>=EVENTS_KEPT_MAX)
     {
      m_first=(m_first+1)%EVENTS_KEPT_MAX;
      m_total--;
     }
   const int place=(m_first+m_total)%EVENTS_KEPT_MAX;
   m_sent_kinds[place]=kind;
   m_sent_msc[place]=time_msc;
   m_sent_tickets[place]=ticket;
   m_total++;
  }

void CEventPlaces::Acknowledge(const long time_msc,const ulong ticket)
  {
   int kept=0;
   for(int i=0; i<m_in_flight; i++)
     {
      const long sent_msc=m_flight_msc[i];
      const ulong sent_ticket=m_flight_tickets[i];
      if(IsEarlierPlace(time_msc,ticket,sent_msc,sent_ticket))
        {
         m_flight_msc[kept]=sent_msc;
         m_flight_tickets[kept]=sent_ticket;
         kept++;
        }
      else
         m_acked_msc=MathMax(m_acked_msc,sent_msc);
     }
   m_in_flight=kept;
   if(IsEarlierPlace(m_furthest_msc,m_furthest_ticket,time_msc,ticket))
     {
      m_furthest_msc=time_msc;
      m_furthest_ticket=ticket;
     }
   NoteArrived(time_msc,ticket);
  }

void CEventPlaces::NoteArrived(const long time_msc,const ulong ticket)
  {
   int before=0;
   while(before<m_total)
     {
      const int place=(m_first+before)%EVENTS_KEPT_MAX;
      if(m_sent_msc[place]==time_msc && m_sent_tickets[place]==ticket)
         break;
      before++;
     }
   if(before>=m_total)
      return;
   for(; before>0; before--)
     {
      //--- without memory it is told again, which does no harm
      if(!m_arrived[m_sent_kinds[m_first]].Put(m_sent_tickets[m_first],m_sent_msc[m_first]))
         return;
      m_first=(m_first+1)%EVENTS_KEPT_MAX;
      m_total--;
     }
  }

// What is older than any look at the history goes.
void CEventPlaces::Forget(void)
  {
   if(m_arrived[EVENTS_OF_DEALS].Total()+m_arrived[EVENTS_OF_ORDERS].Total()<=EVENTS_KEPT_MAX)
      return;
   for(int kind=0; kind<EVENTS_KINDS; kind++)
      m_arrived[kind].RemoveBefore(m_furthest_msc-EVENTS_OVERLAP_MSC);
  }

#endif // BRIDGE_TRADE_EVENTPLACES_MQH
