//+------------------------------------------------------------------+
//|                                                  TradeEvents.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What happens to the account: the stream of EVENTs with its cursor.
//
// Deals and closed orders have a place in an order, (done time, ticket). A transaction names a
// ticket, which is then looked for by itself; once a second the history is read from a minute before
// the newest place that was read: deals can appear late, and transactions can be lost. What was
// queued in this session is remembered by kind and ticket, so nothing is told twice. After a logon
// the history is read from the relay's place, and again when MetaTrader's queue of transactions may
// have overflowed.
//
// Everything else (open orders, positions without a deal, the account, replies) has no place: it is
// told once, as it is when it is told.
//
// What the relay acknowledged is not read out to it again while this program lives: else a link that
// is cut more often than the last minute's events take to send would never get beyond them.
//
// Rule 1: a transaction is only a hint. What an event says is read from orders, deals, positions.
// Rule 2: no more than 256 events of the history are sent and not acknowledged.
// Rule 3: recovered is what no transaction of this session told of.
// Rule 4: only reading the whole history moves the place from which it is read next; what a ticket
// found does not, and neither does what could not be read.
// May touch: what CBroker and CRecords touch.
// What must change together: this file, bridge/sim/trading_events.py, which reads the history at
// every hint: its history costs nothing.

#ifndef BRIDGE_TRADE_TRADEEVENTS_MQH
#define BRIDGE_TRADE_TRADEEVENTS_MQH

#include <Bridge/Wire/MsgPack.mqh>
#include <Bridge/Wire/MessagesTrade.mqh>
#include <Bridge/Trade/BrokerAccess.mqh>
#include <Bridge/Trade/Constants.mqh>
#include <Bridge/Trade/EventPlaces.mqh>
#include <Bridge/Trade/Records.mqh>
#include <Bridge/Trade/TicketTimes.mqh>

//--- tickets that are looked for one by one in one look; with more the history is read
#define EVENTS_TICKETS_MAX 64
//--- open orders and positions that wait to be told of
#define EVENTS_STATES_MAX  4096
//--- transactions that come in such a distance were in MetaTrader's queue together
#define EVENTS_BURST_US    250000
#define EVENTS_NEVER_US    LONG_MAX

//+------------------------------------------------------------------+
//| A deal or closed order that is to be told of                     |
//+------------------------------------------------------------------+
struct SHistoric
  {
   long              time_msc;
   ulong             ticket;
   bool              is_order;
   ulong             order;            // the ticket of its order
   string            comment;
   uchar             record[];         // msgpack
                     SHistoric(void) : time_msc(0),ticket(0),is_order(false),order(0),comment("") { }
  };

//+------------------------------------------------------------------+
//| The record of a reply to a request                               |
//+------------------------------------------------------------------+
struct SReplyRecord
  {
   uchar             record[];         // msgpack
  };

//+------------------------------------------------------------------+
//| An EVENT, with what of its record the trading side looks at      |
//+------------------------------------------------------------------+
struct STold
  {
   SEvent            event;
   bool              has_place;        // it tells of a deal or a closed order
   bool              is_order;
   ulong             ticket;
   ulong             order;            // the ticket of its order
   string            comment;
                     STold(void) : has_place(false),is_order(false),ticket(0),order(0),comment("") { }
  };

//+------------------------------------------------------------------+
//| The events of one session after the other                        |
//+------------------------------------------------------------------+
class CEventStream
  {
private:
   CBroker          *m_broker;
   bool              m_on;
   bool              m_told;           // the relay takes events
   //--- the history
   bool              m_marked;         // what was there at the begin is known
   long              m_begun_msc;
   long              m_from_msc;       // the newest time that was read
   long              m_next_scan_us;
   long              m_next_look_us;   // at what is awaited
   int               m_turn;           // of what is awaited
   CTicketTimes      m_known[EVENTS_KINDS];    // queued in this session, with its time
   CTicketTimes      m_hinted[EVENTS_KINDS];   // a transaction told of it
   CTicketTimes      m_awaited[EVENTS_KINDS];  // not seen yet, with when it is given up
   SHistoric         m_queue[EVENTS_QUEUED_MAX];   // a ring
   int               m_queue_first;
   int               m_queued;
   CEventPlaces      m_places;         // what is sent, and what of it has arrived
   //--- MetaTrader's queue
   long              m_hint_us;
   int               m_burst;
   bool              m_overflown;
   //--- the rest
   ulong             m_states[];       // tickets of open orders and positions, the first one first
   bool              m_state_is_order[];
   SReplyRecord      m_replies[EVENTS_TRANSACTIONS_MAX];   // a ring
   int               m_replies_first;
   int               m_replies_total;
   SAccountState     m_account;
   bool              m_changed;        // the account

public:
                     CEventStream(CBroker *broker);
   // A session is open: begin at the relay's place, or now when it has none. Without told the relay
   // takes no events: there is no window, and the caller drops them.
   void              Begin(const bool has_cursor,const long cursor_msc,const ulong cursor_ticket,const SMoment &moment,
                           const bool told);
   // The session is over: the next one begins at what its relay has.
   void              End(void);
   // Take what OnTradeTransaction was called with.
   void              Hint(const MqlTradeTransaction &transaction,const MqlTradeRequest &request,
                          const MqlTradeResult &result,const long now_us);
   // The relay has what it was sent up to this place.
   void              Acknowledge(const long cursor_msc,const ulong cursor_ticket);
   // The next event; false: there is none now, or the window is full.
   bool              Next(const SMoment &moment,STold &told);
   // When there may be something to tell of again.
   long              NextLookUs(void) const { return(!m_on ? EVENTS_NEVER_US : MathMin(m_next_scan_us,m_next_look_us)); }
   bool              HasOverflown(void) const { return(m_overflown); }
   int               Known(void) const { return(m_known[EVENTS_OF_DEALS].Total()+m_known[EVENTS_OF_ORDERS].Total()); }

private:
   //--- the history
   void              Await(const int kind,const ulong ticket,const long now_us);
   bool              IsAwaiting(void) const;
   void              Look(const SMoment &moment);
   void              Scan(const SMoment &moment);
   void              LookForAwaited(const SMoment &moment);
   bool              ReadHistory(const long from_msc,SDealRecord &deals[],SOrderRecord &orders[]);
   bool              Mark(void);
   bool              QueueAll(const SDealRecord &deals[],const SOrderRecord &orders[],const bool moves);
   bool              QueueDeal(const SDealRecord &deal);
   bool              QueueOrder(const SOrderRecord &order);
   bool              Push(const int kind,const long time_msc,const ulong ticket,const ulong order,const string comment,
                          const CMsgPackWriter &writer);
   void              GiveUp(const long now_us);
   void              Forget(void);
   bool              TakeHistoric(const SMoment &moment,STold &told);
   //--- the rest
   void              AddState(const bool is_order,const ulong ticket);
   void              AddReply(const MqlTradeRequest &request,const MqlTradeResult &result);
   bool              TakeReply(const SMoment &moment,STold &told);
   bool              TakeState(const SMoment &moment,STold &told);
   bool              TakeAccount(const SMoment &moment,STold &told);
   static void       Plain(const uint kind,const SMoment &moment,STold &told);
   static bool       IsBehind(const SDealRecord &deal,const SOrderRecord &order);
  };

CEventStream::CEventStream(CBroker *broker) : m_broker(broker),
                                              m_on(false),
                                              m_told(false),
                                              m_marked(false),
                                              m_begun_msc(0),
                                              m_from_msc(0),
                                              m_next_scan_us(0),
                                              m_next_look_us(EVENTS_NEVER_US),
                                              m_turn(0),
                                              m_queue_first(0),
                                              m_queued(0),
                                              m_hint_us(0),
                                              m_burst(0),
                                              m_overflown(false),
                                              m_replies_first(0),
                                              m_replies_total(0),
                                              m_changed(false)
  {
   ZeroMemory(m_account);
  }

//+------------------------------------------------------------------+
//| Sessions                                                         |
//+------------------------------------------------------------------+
void CEventStream::Begin(const bool has_cursor,const long cursor_msc,const ulong cursor_ticket,const SMoment &moment,
                         const bool told)
  {
   End();
   m_on=true;
   m_told=told;
   m_next_scan_us=moment.now_us;
   CRecords::ReadAccount(m_account);
   m_begun_msc=moment.server_msc;
   m_marked=has_cursor;
   m_from_msc=(has_cursor ? cursor_msc : moment.server_msc);
   m_places.Begin(has_cursor,m_from_msc,cursor_ticket,m_known);
   if(!has_cursor)
      m_marked=Mark();
  }

void CEventStream::End(void)
  {
   m_on=false;
   m_changed=false;
   m_overflown=false;
   m_burst=0;
   m_turn=0;
   m_next_look_us=EVENTS_NEVER_US;
   for(int kind=0; kind<EVENTS_KINDS; kind++)
     {
      m_known[kind].Clear();
      m_hinted[kind].Clear();
      m_awaited[kind].Clear();
     }
   for(int i=0; i<EVENTS_QUEUED_MAX; i++)
      ArrayFree(m_queue[i].record);
   m_queue_first=0;
   m_queued=0;
   m_places.End();
   ArrayFree(m_states);
   ArrayFree(m_state_is_order);
   for(int i=0; i<EVENTS_TRANSACTIONS_MAX; i++)
      ArrayFree(m_replies[i].record);
   m_replies_first=0;
   m_replies_total=0;
  }

// Begin now: what is in the history already is known, and not told of.
bool CEventStream::Mark(void)
  {
   SDealRecord deals[];
   SOrderRecord orders[];
   if(!ReadHistory(m_begun_msc-EVENTS_OVERLAP_MSC,deals,orders))
      return(false);
   for(int i=0; i<ArraySize(deals); i++)
     {
      if(!m_known[EVENTS_OF_DEALS].Put(deals[i].ticket,deals[i].time_msc))
         return(false);
      m_from_msc=MathMax(m_from_msc,deals[i].time_msc);
     }
   for(int i=0; i<ArraySize(orders); i++)
     {
      if(!m_known[EVENTS_OF_ORDERS].Put(orders[i].ticket,orders[i].time_done_msc))
         return(false);
      m_from_msc=MathMax(m_from_msc,orders[i].time_done_msc);
     }
   return(true);
  }

//+------------------------------------------------------------------+
//| What the terminal and the relay say                              |
//+------------------------------------------------------------------+
void CEventStream::Hint(const MqlTradeTransaction &transaction,const MqlTradeRequest &request,
                        const MqlTradeResult &result,const long now_us)
  {
   if(!m_on)
      return;
   if(now_us-m_hint_us>EVENTS_BURST_US)
      m_burst=0;
   m_hint_us=now_us;
   m_burst++;
   if(m_burst>=EVENTS_TRANSACTIONS_MAX-1)
     {
      //--- the oldest may be lost in MetaTrader: what is found then is recovered
      m_burst=0;
      m_overflown=true;
      m_next_scan_us=MathMin(m_next_scan_us,now_us);
     }
   switch(transaction.type)
     {
      case TRADE_TRANSACTION_DEAL_ADD:
         Await(EVENTS_OF_DEALS,transaction.deal,now_us);
         break;
      case TRADE_TRANSACTION_HISTORY_ADD:
         Await(EVENTS_OF_ORDERS,transaction.order,now_us);
         break;
      case TRADE_TRANSACTION_ORDER_ADD:
      case TRADE_TRANSACTION_ORDER_UPDATE:
         AddState(true,transaction.order);
         break;
      case TRADE_TRANSACTION_POSITION:
         AddState(false,transaction.position);
         break;
      case TRADE_TRANSACTION_REQUEST:
         AddReply(request,result);
         break;
     }
//--- the account may be another one now
   m_next_look_us=MathMin(m_next_look_us,now_us);
  }

void CEventStream::Acknowledge(const long cursor_msc,const ulong cursor_ticket)
  {
   m_places.Acknowledge(cursor_msc,cursor_ticket);
  }

bool CEventStream::Next(const SMoment &moment,STold &told)
  {
   if(!m_on)
      return(false);
   if(m_queued==0 && (moment.now_us>=m_next_scan_us || moment.now_us>=m_next_look_us))
      Look(moment);
   if(TakeReply(moment,told) || TakeState(moment,told) || TakeAccount(moment,told))
      return(true);
   return(TakeHistoric(moment,told));
  }

//+------------------------------------------------------------------+
//| The history                                                      |
//+------------------------------------------------------------------+
void CEventStream::Await(const int kind,const ulong ticket,const long now_us)
  {
//--- without memory the history is read all the same, and it is told as recovered
   if(ticket==0 || !m_hinted[kind].Put(ticket,0) || m_known[kind].Has(ticket))
      return;
   const int awaited=m_awaited[EVENTS_OF_DEALS].Total()+m_awaited[EVENTS_OF_ORDERS].Total();
   if(awaited>=EVENTS_AWAITED_MAX || !m_awaited[kind].Put(ticket,now_us+EVENTS_AWAITED_FOR_US))
      m_next_scan_us=MathMin(m_next_scan_us,now_us);
  }

bool CEventStream::IsAwaiting(void) const
  {
   return(m_awaited[EVENTS_OF_DEALS].Total()>0 || m_awaited[EVENTS_OF_ORDERS].Total()>0);
  }

void CEventStream::Look(const SMoment &moment)
  {
   const int awaited=m_awaited[EVENTS_OF_DEALS].Total()+m_awaited[EVENTS_OF_ORDERS].Total();
   const bool many=(awaited>EVENTS_TICKETS_MAX);
   m_next_look_us=EVENTS_NEVER_US;
   if(moment.now_us>=m_next_scan_us || many)
      Scan(moment);
   if(m_queued==0 && IsAwaiting())
      LookForAwaited(moment);
   GiveUp(moment.now_us);
   if(IsAwaiting())
      m_next_look_us=moment.now_us+EVENTS_AWAITED_EVERY_US;
   Forget();
   SAccountState account={};
   CRecords::ReadAccount(account);
   if(!CRecords::SameAccount(account,m_account))
     {
      m_account=account;
      m_changed=true;
     }
  }

// Read the history and queue what is not known.
void CEventStream::Scan(const SMoment &moment)
  {
   SDealRecord deals[];
   SOrderRecord orders[];
   m_next_scan_us=moment.now_us+EVENTS_LOOK_EVERY_US;
   if(!m_marked)
     {
      m_marked=Mark();
      if(!m_marked)
         return;
     }
   long from_msc=m_from_msc;
   if(m_overflown)
      from_msc=MathMin(from_msc,m_places.AcknowledgedMsc());
   if(!ReadHistory(from_msc-EVENTS_OVERLAP_MSC,deals,orders))
      return;
   if(!QueueAll(deals,orders,true))
      m_next_scan_us=moment.now_us;   // the rest, once there is room
   else
      m_overflown=false;
  }

// Look for some of the tickets that transactions told of.
void CEventStream::LookForAwaited(const SMoment &moment)
  {
   SDealRecord deals[];
   SOrderRecord orders[];
   const int total=m_awaited[EVENTS_OF_DEALS].Total();
   const int all=total+m_awaited[EVENTS_OF_ORDERS].Total();
   for(int i=0; i<all && i<EVENTS_TICKETS_MAX; i++)
     {
      m_turn=(m_turn+1<all ? m_turn+1 : 0);
      if(m_turn<total)
        {
         SDealRecord deal={};
         if(!m_broker.HistoryDeal(m_awaited[EVENTS_OF_DEALS].Ticket(m_turn),deal))
            continue;
         int place=ArraySize(deals);
         if(ArrayResize(deals,place+1,EVENTS_TICKETS_MAX)!=place+1)
            break;
         for(; place>0 && (deals[place-1].time_msc>deal.time_msc
                           || (deals[place-1].time_msc==deal.time_msc && deals[place-1].ticket>deal.ticket)); place--)
            deals[place]=deals[place-1];
         deals[place]=deal;
        }
      else
        {
         SOrderRecord order={};
         if(!m_broker.HistoryOrder(m_awaited[EVENTS_OF_ORDERS].Ticket(m_turn-total),order))
            continue;
         int place=ArraySize(orders);
         if(ArrayResize(orders,place+1,EVENTS_TICKETS_MAX)!=place+1)
            break;
         for(; place>0 && (orders[place-1].time_done_msc>order.time_done_msc
                           || (orders[place-1].time_done_msc==order.time_done_msc && orders[place-1].ticket>order.ticket)); place--)
            orders[place]=orders[place-1];
         orders[place]=order;
        }
     }
   if(!QueueAll(deals,orders,false))
      m_next_scan_us=moment.now_us;
  }

bool CEventStream::ReadHistory(const long from_msc,SDealRecord &deals[],SOrderRecord &orders[])
  {
   return(m_broker.HistoryDeals(from_msc,TRACES_END_OF_TIME,deals)
          && m_broker.HistoryOrders(from_msc,TRACES_END_OF_TIME,orders));
  }

// Whether a deal has its place behind that of an order.
bool CEventStream::IsBehind(const SDealRecord &deal,const SOrderRecord &order)
  {
   return(IsEarlierPlace(order.time_done_msc,order.ticket,deal.time_msc,deal.ticket));
  }

// Queue what is not known, in the order of the places; false: not all of it.
bool CEventStream::QueueAll(const SDealRecord &deals[],const SOrderRecord &orders[],const bool moves)
  {
   const int deals_total=ArraySize(deals);
   const int orders_total=ArraySize(orders);
   int deal=0;
   int order=0;
   while(deal<deals_total || order<orders_total)
     {
      const bool is_order=(deal>=deals_total || (order<orders_total && IsBehind(deals[deal],orders[order])));
      const int kind=(is_order ? EVENTS_OF_ORDERS : EVENTS_OF_DEALS);
      const ulong ticket=(is_order ? orders[order].ticket : deals[deal].ticket);
      const long time_msc=(is_order ? orders[order].time_done_msc : deals[deal].time_msc);
      if(!m_known[kind].Has(ticket))
        {
         if(is_order ? !QueueOrder(orders[order]) : !QueueDeal(deals[deal]))
            return(false);
         m_awaited[kind].Remove(ticket);
         if(moves)
            m_from_msc=MathMax(m_from_msc,time_msc);
        }
      if(is_order)
         order++;
      else
         deal++;
     }
   return(true);
  }

bool CEventStream::QueueDeal(const SDealRecord &deal)
  {
   CMsgPackWriter writer;
   CRecords::Deal(writer,deal);
   return(Push(EVENTS_OF_DEALS,deal.time_msc,deal.ticket,deal.order,deal.comment,writer));
  }

bool CEventStream::QueueOrder(const SOrderRecord &order)
  {
   CMsgPackWriter writer;
   CRecords::Order(writer,order);
   return(Push(EVENTS_OF_ORDERS,order.time_done_msc,order.ticket,order.ticket,order.comment,writer));
  }

bool CEventStream::Push(const int kind,const long time_msc,const ulong ticket,const ulong order,const string comment,
                        const CMsgPackWriter &writer)
  {
   if(m_queued>=EVENTS_QUEUED_MAX)
      return(false);
   const int place=(m_queue_first+m_queued)%EVENTS_QUEUED_MAX;
   if(!writer.ToArray(m_queue[place].record) || !m_known[kind].Put(ticket,time_msc))
      return(false);
   m_queue[place].time_msc=time_msc;
   m_queue[place].ticket=ticket;
   m_queue[place].is_order=(kind==EVENTS_OF_ORDERS);
   m_queue[place].order=order;
   m_queue[place].comment=comment;
   m_queued++;
   return(true);
  }

// What a transaction told of and never came is not waited for any longer.
void CEventStream::GiveUp(const long now_us)
  {
   for(int kind=0; kind<EVENTS_KINDS; kind++)
      m_awaited[kind].RemoveBefore(now_us+1);
  }

// What is older than any look at the history goes.
void CEventStream::Forget(void)
  {
   m_places.Forget();
   if(Known()<=EVENTS_KEPT_MAX || m_overflown)
      return;
   for(int kind=0; kind<EVENTS_KINDS; kind++)
     {
      m_known[kind].RemoveBefore(m_from_msc-EVENTS_OVERLAP_MSC);
      m_hinted[kind].KeepOnly(m_known[kind],m_awaited[kind]);
     }
  }

bool CEventStream::TakeHistoric(const SMoment &moment,STold &told)
  {
   if(m_queued==0 || m_places.IsFull())
      return(false);
   const int place=m_queue_first;
   const int kind=(m_queue[place].is_order ? EVENTS_OF_ORDERS : EVENTS_OF_DEALS);
   const int size=ArraySize(m_queue[place].record);
   if(ArrayResize(told.event.record,size)!=size || ArrayCopy(told.event.record,m_queue[place].record)!=size)
      return(false);
   told.has_place=true;
   told.is_order=m_queue[place].is_order;
   told.ticket=m_queue[place].ticket;
   told.order=m_queue[place].order;
   told.comment=m_queue[place].comment;
   told.event.kind=(uint)(told.is_order ? EVENT_ORDER_CLOSED : EVENT_DEAL);
   told.event.recovered=!m_hinted[kind].Has(told.ticket);
   told.event.cursor_time_msc=m_queue[place].time_msc;
   told.event.cursor_ticket=told.ticket;
   told.event.time_msc=m_queue[place].time_msc;
   told.event.utc_offset_min=moment.utc_offset_min;
   ArrayFree(m_queue[place].record);
   m_queue_first=(m_queue_first+1)%EVENTS_QUEUED_MAX;
   m_queued--;
   if(m_told)
      m_places.Sent(kind,told.event.cursor_time_msc,told.ticket);
   return(true);
  }

//+------------------------------------------------------------------+
//| What has no place                                                |
//+------------------------------------------------------------------+
void CEventStream::AddState(const bool is_order,const ulong ticket)
  {
   const int total=ArraySize(m_states);
   for(int i=0; i<total; i++)
      if(m_states[i]==ticket && m_state_is_order[i]==is_order)
         return;
   if(total>=EVENTS_STATES_MAX || ArrayResize(m_states,total+1,64)!=total+1
      || ArrayResize(m_state_is_order,total+1,64)!=total+1)
      return;
   m_states[total]=ticket;
   m_state_is_order[total]=is_order;
  }

// The oldest goes when there are too many.
void CEventStream::AddReply(const MqlTradeRequest &request,const MqlTradeResult &result)
  {
   CMsgPackWriter writer;
   writer.BeginMap(2);
   writer.String("request");
   CRecords::Request(writer,request);
   writer.String("result");
   CRecords::Result(writer,result);
   if(m_replies_total>=EVENTS_TRANSACTIONS_MAX)
     {
      m_replies_first=(m_replies_first+1)%EVENTS_TRANSACTIONS_MAX;
      m_replies_total--;
     }
   const int place=(m_replies_first+m_replies_total)%EVENTS_TRANSACTIONS_MAX;
   if(writer.ToArray(m_replies[place].record))
      m_replies_total++;
  }

bool CEventStream::TakeReply(const SMoment &moment,STold &told)
  {
   if(m_replies_total==0)
      return(false);
   const int place=m_replies_first;
   const int size=ArraySize(m_replies[place].record);
   m_replies_first=(m_replies_first+1)%EVENTS_TRANSACTIONS_MAX;
   m_replies_total--;
   Plain((uint)EVENT_REQUEST,moment,told);
   const bool copied=(ArrayResize(told.event.record,size)==size && ArrayCopy(told.event.record,m_replies[place].record)==size);
   ArrayFree(m_replies[place].record);
   return(copied);
  }

// What is gone meanwhile is told by a deal or a closed order.
bool CEventStream::TakeState(const SMoment &moment,STold &told)
  {
   bool found=false;
   int taken=0;
   const int total=ArraySize(m_states);
   while(taken<total && !found)
     {
      CMsgPackWriter writer;
      const ulong ticket=m_states[taken];
      const bool is_order=m_state_is_order[taken];
      taken++;
      if(is_order)
        {
         SOrderRecord order={};
         found=m_broker.Order(ticket,order);
         if(found)
            CRecords::Order(writer,order);
        }
      else
        {
         SPositionRecord position={};
         found=m_broker.Position(ticket,position);
         if(found)
            CRecords::Position(writer,position);
        }
      if(!found)
         continue;
      Plain((uint)(is_order ? EVENT_ORDER : EVENT_POSITION),moment,told);
      found=writer.ToArray(told.event.record);
     }
   if(taken==0)
      return(false);
   for(int i=taken; i<total; i++)
     {
      m_states[i-taken]=m_states[i];
      m_state_is_order[i-taken]=m_state_is_order[i];
     }
   if(ArrayResize(m_states,total-taken,64)!=total-taken || ArrayResize(m_state_is_order,total-taken,64)!=total-taken)
      ArrayFree(m_states);
   return(found);
  }

bool CEventStream::TakeAccount(const SMoment &moment,STold &told)
  {
   if(!m_changed)
      return(false);
   CMsgPackWriter writer;
   m_changed=false;
   Plain((uint)EVENT_ACCOUNT,moment,told);
   CRecords::Account(writer);
   return(writer.ToArray(told.event.record));
  }

void CEventStream::Plain(const uint kind,const SMoment &moment,STold &told)
  {
   told.has_place=false;
   told.is_order=false;
   told.ticket=0;
   told.order=0;
   told.comment="";
   told.event.kind=kind;
   told.event.recovered=false;
   told.event.cursor_time_msc=0;
   told.event.cursor_ticket=0;
   told.event.time_msc=moment.server_msc;
   told.event.utc_offset_min=moment.utc_offset_min;
   ArrayFree(told.event.record);
  }

#endif // BRIDGE_TRADE_TRADEEVENTS_MQH
