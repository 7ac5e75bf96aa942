//+------------------------------------------------------------------+
//|                                                      DeadMan.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The dead man's switch: what the terminal does when its relay has been gone for long.
//
// Theory of operation. CDeadManClock decides, from nothing but the time and whether a session is
// open. CDeadMan then acts, one order at a time, until a relay is back: it cancels pending orders,
// and closes positions, that commands of this ledger made; what a person or another program opened
// stays as it is. In any case it latches: nothing is opened any more until a person has resumed
// trading. After a restart of the program the time begins anew, and so does the work: what was under
// way is looked for before anything else is sent in its symbol.
//
// Rule 1: every order goes through the executor: ledger, limits and permissions hold here too.
// Rule 2: what cannot be read is not acted upon; it is looked at again.
// Rule 3: a terminal without a durable ledger does nothing.
// May touch: TradingDesk.mqh.

#ifndef BRIDGE_TRADE_DEADMAN_MQH
#define BRIDGE_TRADE_DEADMAN_MQH

#include <Bridge/Support/Log.mqh>
#include <Bridge/Trade/TradingDesk.mqh>

enum ENUM_DEAD_MAN_ACTION
  {
   DEAD_MAN_NOTHING     =0,   // Nothing
   DEAD_MAN_STOP_OPENING=1,   // Open nothing until trading is resumed
   DEAD_MAN_CANCEL      =2,   // Stop opening, and cancel the pending orders of this bridge
   DEAD_MAN_CLOSE       =3    // Stop opening, cancel, and close the positions of this bridge
  };

//--- between two looks while there is something to do, and while there is nothing
#define DEAD_MAN_SOON_US      200000
#define DEAD_MAN_LATER_US     2000000
//--- before an order or a position is tried again: done but still there, and refused
#define DEAD_MAN_DONE_US      10000000
#define DEAD_MAN_REFUSED_US   30000000
//--- when "not found" means "not executed"
#define DEAD_MAN_SETTLE_MS    10000
#define DEAD_MAN_TARGETS_MAX  1024

//+------------------------------------------------------------------+
//| Whether the relay has been gone for too long                     |
//+------------------------------------------------------------------+
class CDeadManClock
  {
private:
   long              m_limit_us;        // 0: never
   long              m_since_us;
   bool              m_counting;

public:
                     CDeadManClock(void) : m_limit_us(0),m_since_us(0),m_counting(false) { }
   void              Limit(const int seconds) { m_limit_us=(long)seconds*1000000; }
   // Tell it at every turn. True: the relay has been gone for as long as that.
   bool              IsOver(const long now_us,const bool connected);
  };

bool CDeadManClock::IsOver(const long now_us,const bool connected)
  {
   if(connected)
     {
      m_counting=false;
      return(false);
     }
   if(!m_counting)
     {
      m_counting=true;
      m_since_us=now_us;
     }
   return(m_limit_us>0 && now_us-m_since_us>=m_limit_us);
  }

//+------------------------------------------------------------------+
//| An order to cancel or a position to close                        |
//+------------------------------------------------------------------+
struct SDeadManTarget
  {
   bool              is_order;
   ulong             ticket;
   string            symbol;
   int               tries;
   long              not_before_us;
  };

//+------------------------------------------------------------------+
//| The switch                                                       |
//+------------------------------------------------------------------+
class CDeadMan
  {
private:
   CTradingDesk     *m_desk;
   CLog             *m_log;
   CDeadManClock     m_clock;
   int               m_seconds;
   ENUM_DEAD_MAN_ACTION m_action;
   bool              m_fired;
   long              m_fired_msc;       // on the server's clock: names its commands
   long              m_next_look_us;
   SDeadManTarget    m_targets[];

   void              Fire(const SMoment &moment);
   void              Look(const ulong login,const SMoment &moment);
   bool              Find(void);
   void              Note(const bool is_order,const ulong ticket,const string symbol,bool &there[]);
   bool              Try(const int place,const ulong login,const SMoment &moment);

public:
                     CDeadMan(CTradingDesk *desk,CLog *lines);
   void              Configure(const int seconds,const ENUM_DEAD_MAN_ACTION action);
   bool              HasFired(void) const { return(m_fired); }
   // At every turn: whether the relay has been gone for too long, and it is time to do something.
   bool              IsOver(const long now_us,const bool connected);
   // Then. It may send an order, which may block.
   void              Turn(const ulong login,const SMoment &moment);
  };

CDeadMan::CDeadMan(CTradingDesk *desk,CLog *lines) : m_desk(desk),
                                                   m_log(lines),
                                                   m_seconds(0),
                                                   m_action(DEAD_MAN_NOTHING),
                                                   m_fired(false),
                                                   m_fired_msc(0),
                                                   m_next_look_us(0)
  {
  }

void CDeadMan::Configure(const int seconds,const ENUM_DEAD_MAN_ACTION action)
  {
   m_seconds=seconds;
   m_action=action;
   m_clock.Limit(action==DEAD_MAN_NOTHING ? 0 : seconds);
  }

bool CDeadMan::IsOver(const long now_us,const bool connected)
  {
   if(m_clock.IsOver(now_us,connected))
      return(m_desk.IsIdle() && now_us>=m_next_look_us);
   if(m_fired)
      m_log.Warning("the relay is back: the dead man's switch does no more; nothing is opened until trading is resumed");
   m_fired=false;
   m_next_look_us=0;
   ArrayFree(m_targets);
   return(false);
  }

void CDeadMan::Turn(const ulong login,const SMoment &moment)
  {
   if(!m_desk.IsIdle())
      return;
   if(!m_fired)
      Fire(moment);
   m_next_look_us=moment.now_us+DEAD_MAN_LATER_US;
   if(m_action>=DEAD_MAN_CANCEL && (moment.permissions & (uint)PERMISSION_TERMINAL_CONNECTED)!=0)
      Look(login,moment);
  }

void CDeadMan::Fire(const SMoment &moment)
  {
   m_fired=true;
   m_fired_msc=moment.server_msc;
   string what="nothing is opened until trading is resumed";
   if(m_action>=DEAD_MAN_CANCEL)
      what+=", pending orders of this bridge are cancelled";
   if(m_action>=DEAD_MAN_CLOSE)
      what+=", positions of this bridge are closed";
   m_log.Warning(StringFormat("the relay has been gone for %d s: %s",m_seconds,what));
   m_desk.Latch(moment);
  }

//+------------------------------------------------------------------+
//| Acting                                                           |
//+------------------------------------------------------------------+
// Send the next order, if there is one that may be sent.
void CDeadMan::Look(const ulong login,const SMoment &moment)
  {
   string unsettled[];
   if(!m_desk.Unsettled(DEAD_MAN_SETTLE_MS,moment,unsettled) || !Find())
      return;
   for(int i=0; i<ArraySize(m_targets); i++)
     {
      bool waits=(moment.now_us<m_targets[i].not_before_us);
      for(int other=0; other<ArraySize(unsettled) && !waits; other++)
         waits=(unsettled[other]==m_targets[i].symbol);
      if(waits || !Try(i,login,moment))
         continue;
      m_next_look_us=moment.now_us+DEAD_MAN_SOON_US;
      return;
     }
  }

// The orders and positions of this bridge as they are now. False: they cannot be read.
bool CDeadMan::Find(void)
  {
   SOrderRecord orders[];
   SPositionRecord positions[];
   bool there[];
   if(!m_desk.Broker().Orders(orders) || !m_desk.Broker().Positions(positions))
      return(false);
   const int before=ArraySize(m_targets);
   if(ArrayResize(there,before)!=before)
      return(false);
   for(int i=0; i<before; i++)
      there[i]=false;
   for(int i=0; i<ArraySize(orders); i++)
      if(m_desk.IsOurs(orders[i].comment,orders[i].ticket))
         Note(true,orders[i].ticket,orders[i].symbol,there);
   for(int i=0; i<ArraySize(positions) && m_action>=DEAD_MAN_CLOSE; i++)
      if(m_desk.IsOurs(positions[i].comment,positions[i].identifier))
         Note(false,positions[i].ticket,positions[i].symbol,there);
//--- what is gone is done
   int kept=0;
   for(int i=0; i<ArraySize(m_targets); i++)
     {
      if(!there[i])
         continue;
      if(kept!=i)
         m_targets[kept]=m_targets[i];
      kept++;
     }
   return(ArrayResize(m_targets,kept)==kept);
  }

void CDeadMan::Note(const bool is_order,const ulong ticket,const string symbol,bool &there[])
  {
   const int total=ArraySize(m_targets);
   int place=0;
   while(place<total && (m_targets[place].is_order!=is_order || m_targets[place].ticket!=ticket))
      place++;
   if(place==total)
     {
      if(total>=DEAD_MAN_TARGETS_MAX || ArrayResize(there,total+1,16)!=total+1
         || ArrayResize(m_targets,total+1,16)!=total+1)
         return;
      m_targets[place].is_order=is_order;
      m_targets[place].ticket=ticket;
      m_targets[place].symbol=symbol;
      m_targets[place].tries=0;
      m_targets[place].not_before_us=0;
     }
   there[place]=true;
  }

// True: something was sent, or refused.
bool CDeadMan::Try(const int place,const ulong login,const SMoment &moment)
  {
   SOrderRequest request={};
   SResult result;
   const ulong ticket=m_targets[place].ticket;
   if(m_targets[place].is_order)
     {
      request.action=(uint)TRADE_ACTION_REMOVE;
      request.has_order=true;
      request.order=ticket;
     }
   else
     {
      request.action=(uint)TRADE_ACTION_DEAL;
      request.has_position=true;
      request.position=ticket;
      request.has_symbol=true;
      request.symbol=m_targets[place].symbol;
     }
   const string command_id=StringFormat("%sdead-man/%I64d/%I64u-%d",DESK_OWN_PREFIX,m_fired_msc,ticket,
                                        m_targets[place].tries);
   const ENUM_OWN_SENT sent=m_desk.SendOwn(command_id,request,login,moment,result);
   if(sent==OWN_SENT_HELD)
      return(false);
   m_targets[place].tries++;
   m_targets[place].not_before_us=moment.now_us+(sent==OWN_SENT_UNDER_WAY ? DEAD_MAN_DONE_US : DEAD_MAN_REFUSED_US);
   if(sent==OWN_SENT_ANSWERED)
      m_log.Error(StringFormat("the dead man's switch cannot close %I64u: %s",ticket,PrintableText(result.text)));
   return(true);
  }

#endif // BRIDGE_TRADE_DEADMAN_MQH
