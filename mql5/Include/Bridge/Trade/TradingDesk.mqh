//+------------------------------------------------------------------+
//|                                                  TradingDesk.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The trading side of the terminal: takes commands, answers them, tells of events.
//
// Theory of operation. Commands wait in one queue, in the order in which they came: a QUERY behind a
// NEW is answered when that is done, never before. What can be answered without a call that blocks
// is; a NEW that is to be sent waits until BUSY is on the wire (WantsCall), then Call() sends it, and
// Settle() answers when the call has returned. Sent asynchronously there is no BUSY: commands and
// events wait until the answer was heard, so that what happens is what happens with a terminal that
// blocks, while ticks and heartbeats go on.
//
// Rule 1: HALT is obeyed at once, also by what waits in the queue.
// Rule 2: what waits when a link is lost was never begun, and is forgotten: its relay asks.
// Rule 3: an outcome may be told again and better when more becomes known, never worse.
// Rule 4: without a durable ledger nothing is taken, and nobody is told that an id was never seen.
// Rule 5: everything that is told is of the account whose ledger it is. When another one logs on,
// what is under way is left to the ledger, where its intent is.
// May touch: everything in Trade.
// What must change together: this file, DeskParts.mqh, bridge/sim/trading.py.

#ifndef BRIDGE_TRADE_TRADINGDESK_MQH
#define BRIDGE_TRADE_TRADINGDESK_MQH

#include <Bridge/Support/Log.mqh>
#include <Bridge/Wire/Messages.mqh>
#include <Bridge/Trade/Commands.mqh>
#include <Bridge/Trade/DeskParts.mqh>
#include <Bridge/Trade/Evidence.mqh>
#include <Bridge/Trade/Executor.mqh>
#include <Bridge/Trade/Freshness.mqh>
#include <Bridge/Trade/Ledger.mqh>
#include <Bridge/Trade/Results.mqh>
#include <Bridge/Trade/TradeEvents.mqh>
#include <Bridge/Trade/TradeReads.mqh>

//--- nobody is connected to the trade server
#define DESK_NEVER_US   -1
//--- how the ids of the terminal's own commands begin; no relay makes such an id
#define DESK_OWN_PREFIX "!"
#define DESK_LATCH_ID   "!dead-man/latch"

//--- what became of a command of the terminal's own
enum ENUM_OWN_SENT
  {
   OWN_SENT_HELD     =0,   // it was not sent: what is open cannot be told yet
   OWN_SENT_ANSWERED =1,   // it was not sent, or it was refused: the answer says why
   OWN_SENT_UNDER_WAY=2
  };

//+------------------------------------------------------------------+
//| A terminal that trades                                           |
//+------------------------------------------------------------------+
class CTradingDesk
  {
private:
   CLedger          *m_ledger;
   CTradeOut        *m_out;
   CLog             *m_log;
   CBroker          *m_broker;
   CCommands        *m_commands;
   CRequestMaker    *m_maker;
   CEvidenceFinder  *m_finder;
   CResultMaker     *m_results;
   CExecutor        *m_executor;
   CFreshness       *m_freshness;
   CEventStream     *m_events;
   CTradeReads      *m_reads;
   CResultMaker      m_refusals;        // RESULTs of a terminal that must not trade
   //--- whose desk it is
   bool              m_open;            // its ledger is there, and durable
   bool              m_async;
   ulong             m_login;
   ulong             m_loaded_login;    // whose history was read once, 0: nobody's
   uint              m_role;
   uchar             m_incarnation[];   // empty: it was never open
   uint              m_said;            // ENUM_WIRE_TRADING_STATE, by the relay
   uint              m_state;           // the same that is obeyed
   bool              m_latched;         // nothing is opened until trading is resumed
   string            m_problem;         // why no order is taken, as it was said
   //--- the session
   ulong             m_capabilities;    // 0: there is none
   CDeskQueue        m_queue;
   bool              m_ready;
   bool              m_more;            // what waits first does not wait for the market
   bool              m_called;          // BUSY stands on the wire
   CTicketTimes      m_retold;          // by tag: RESULTs told in this session because of an event
   STold             m_told;
   bool              m_more_events;     // there may be some without a new look
   //--- the settle time
   long              m_connected_since_us;
   CTicketTimes      m_returned;        // by tag: when the call of a command returned without an end

   bool              IsSame(const ulong login,const uchar &incarnation[]) const;
   void              TellProblem(void);
   void              Obey(const uint said);
   void              Deny(const string command_id,const uint reason,const string text,const SMoment &moment);
   void              Unsettled(const string command_id,const string text,const SMoment &moment);
   //--- events
   void              Tell(const SMoment &moment);
   void              Seen(const STold &told,const SMoment &moment);
   bool              Refreshed(SLedgerEntry &entry,const SMoment &moment,SResult &result);
   bool              Found(SLedgerEntry &entry,const SFinding &finding,const SMoment &moment,SResult &result);
   static bool       IsTold(const SLedgerEntry &entry,const STold &told);
   //--- QUERY
   void              Answer(const SQuery &query,const SMoment &moment);
   void              AnswerOne(const SQuery &query,const int place,const SMoment &moment,SResult &result);
   bool              Known(SLedgerEntry &entry,const uint settle_ms,const SMoment &moment,SResult &result);
   bool              Open(const SLedgerEntry &entry,const string text,const uint outcome,const SMoment &moment,
                          SResult &result) const;
   bool              IsSettled(const SLedgerEntry &entry,const uint settle_ms,const long now_us) const;
   void              WithoutLedger(const string command_id,const SQueriedCommand &command,const SMoment &moment,
                                   SResult &result);
   static void       CaseOf(const SLedgerEntry &entry,SCase &sought);
   //--- the terminal's own commands
   void              Say(const SResult &result);
   static bool       IsOwn(const string command_id) { return(StringFind(command_id,DESK_OWN_PREFIX)==0); }
   bool              WriteLatch(const bool latched,const SMoment &moment);

public:
                     CTradingDesk(CLedger *ledger,CTradeOut *out,CLog *lines);
                    ~CTradingDesk(void);
   CTradingLimits   *Limits(void) { return(m_executor.Limits()); }
   CTradeReads      *Reads(void) { return(m_reads); }
   void              SendAsync(const bool async) { m_async=async; }
   // Before a connection is made: what HistorySelect waits for is fetched while nobody waits for a
   // heartbeat, so that none has to be announced.
   void              LoadHistory(const ulong login,const uint role);
   // A connection is made with this ledger: trade for its account when it is durable. What belongs
   // to the same ledger is kept.
   void              Serve(const ulong login,const uint role);
   bool              IsOpen(void) const { return(m_open); }
   // Why no order is taken; empty when they are.
   string            Problem(void) const { return(m_problem); }
   uint              State(void) const { return(m_state); }
   bool              UnderWay(void) const { return(m_executor.UnderWay()); }
   // Whether the next Call() blocks: BUSY goes out first.
   bool              Blocks(void) const { return(m_executor.Blocks()); }
   // Whether a NEW is to be sent: as soon as BUSY is on the wire, when the call blocks.
   bool              WantsCall(void) const { return(m_ready); }
   // Whether there is something to do that waits for nothing but its turn.
   bool              HasMore(void) const { return(m_more && m_queue.Total()>0); }
   // First in every turn.
   void              Advance(const long now_us,const bool connected);
   // Answer what was under way, when it is over.
   void              Settle(const ulong login,const SMoment &moment);
   //--- the session
   void              Welcomed(const SWelcome &welcome,const ulong relay_epoch,const ulong capabilities,
                              const SMoment &moment);
   void              LinkLost(void);
   //--- what the relay says; false: it cannot be unpacked
   bool              New(const uchar &body[],const SMoment &moment,string &problem);
   bool              Query(const uchar &body[],const SMoment &moment,string &problem);
   bool              Halt(const SHalt &halt,const SMoment &moment);   // false: its relay is outdated
   void              EventAck(const SEventAck &ack);
   // What OnTradeTransaction is called with.
   void              Heard(const MqlTradeTransaction &transaction,const MqlTradeRequest &request,
                           const MqlTradeResult &result,const long now_us);
   // Whether Work() would do anything.
   bool              HasWork(const long now_us) const;
   // Do what does not block. Call it in an open session only.
   void              Work(const ulong login,const SMoment &moment);
   // Send the NEW that waits; Settle() answers.
   void              Call(const ulong login,const SMoment &moment);
   //--- what the terminal does by itself, without a session: the dead man's switch
   CBroker          *Broker(void) { return(m_broker); }
   bool              IsIdle(void) const { return(m_open && !m_executor.UnderWay() && m_queue.Total()==0); }
   // Whether a command of this ledger made an order or a position; false also when it cannot be read.
   bool              IsOurs(const string comment,const ulong order);
   // Look for what became of commands without an end; the symbols of those that have none still.
   // False: the ledger cannot be read.
   bool              Unsettled(const uint settle_ms,const SMoment &moment,string &symbols[]);
   // Send a command of the terminal's own. Its answer is in the ledger and in the log.
   ENUM_OWN_SENT     SendOwn(const string command_id,const SOrderRequest &request,const ulong login,
                             const SMoment &moment,SResult &result);
   // From now on nothing is opened until a HALT says ACTIVE: a person has resumed trading.
   void              Latch(const SMoment &moment);
   bool              IsLatched(void) const { return(m_latched); }
  };

CTradingDesk::CTradingDesk(CLedger *ledger,CTradeOut *out,CLog *lines) : m_ledger(ledger),
                                                                        m_out(out),
                                                                        m_log(lines),
                                                                        m_open(false),
                                                                        m_async(false),
                                                                        m_login(0),
                                                                        m_loaded_login(0),
                                                                        m_role(0),
                                                                        m_said(TRADING_STATE_ACTIVE),
                                                                        m_state(TRADING_STATE_ACTIVE),
                                                                        m_latched(false),
                                                                        m_problem(""),
                                                                        m_capabilities(0),
                                                                        m_ready(false),
                                                                        m_more(false),
                                                                        m_called(false),
                                                                        m_more_events(false),
                                                                        m_connected_since_us(DESK_NEVER_US)
  {
   m_broker=new CBroker();
   m_commands=new CCommands(ledger);
   m_maker=new CRequestMaker(m_broker);
   m_finder=new CEvidenceFinder(m_broker,m_commands);
   m_results=new CResultMaker();
   m_executor=new CExecutor(m_broker,m_commands,m_maker,m_finder,m_results);
   m_freshness=new CFreshness(m_broker,m_finder);
   m_events=new CEventStream(m_broker);
   m_reads=new CTradeReads(m_broker,m_maker);
  }

CTradingDesk::~CTradingDesk(void)
  {
   delete m_reads;
   delete m_events;
   delete m_freshness;
   delete m_executor;
   delete m_results;
   delete m_finder;
   delete m_maker;
   delete m_commands;
   delete m_broker;
  }

//+------------------------------------------------------------------+
//| Whose desk it is                                                 |
//+------------------------------------------------------------------+
void CTradingDesk::LoadHistory(const ulong login,const uint role)
  {
   if(login==m_loaded_login || (role & (uint)ROLE_TRADE)==0)
      return;
   if(m_broker.LoadHistory())
      m_loaded_login=login;
   else
      m_log.Warning("the account's history cannot be read yet, error "+IntegerToString(m_broker.LastError()));
  }

void CTradingDesk::Serve(const ulong login,const uint role)
  {
   uchar incarnation[];
   m_open=false;
   if(!m_ledger.CopyIncarnation(incarnation) || !m_refusals.Begin(incarnation))
      return;
   if(!m_ledger.Durable())
     {
      TellProblem();
      return;
     }
   if(!IsSame(login,incarnation))
     {
      ArrayFree(m_incarnation);
      m_commands.Begin();
      m_freshness.Begin();
      m_returned.Clear();
      m_login=login;
      m_role=role;
      m_connected_since_us=DESK_NEVER_US;
      m_said=m_ledger.TradingState();
      m_state=m_said;
      SLedgerEntry latch;
      m_latched=(m_commands.Find(DESK_LATCH_ID,latch)==LEDGER_FOUND && latch.Outcome()==(uint)OUTCOME_DONE);
      if(!m_results.Begin(incarnation) || !m_executor.Begin(login,role,m_async)
         || ArrayCopy(m_incarnation,incarnation)!=ArraySize(incarnation))
         return;
     }
   else
      if(m_ledger.TradingState()!=m_state)
         m_commands.CommitState(m_state);   // what could not be written while it was closed
   m_open=true;
   TellProblem();
  }

bool CTradingDesk::IsSame(const ulong login,const uchar &incarnation[]) const
  {
   const int size=ArraySize(incarnation);
   if(login!=m_login || size!=ArraySize(m_incarnation))
      return(false);
   for(int i=0; i<size; i++)
      if(incarnation[i]!=m_incarnation[i])
         return(false);
   return(true);
  }

// Say once what keeps orders from being taken, and once that it is over. A ledger that could not be
// opened is not said here: the link to the relay has said so.
void CTradingDesk::TellProblem(void)
  {
   const string said=m_problem;
   m_problem=(m_open ? m_commands.Problem() : m_ledger.DurabilityProblem());
   if(m_problem==said)
      return;
   if(m_problem=="")
      m_log.Info("orders are taken again");
   else
      if(m_open || !m_ledger.IsTransient())
         m_log.Error("no trading, ticks go on: "+m_problem);
  }

void CTradingDesk::Advance(const long now_us,const bool connected)
  {
   if(!connected)
      m_connected_since_us=DESK_NEVER_US;
   else
      if(m_connected_since_us==DESK_NEVER_US)
         m_connected_since_us=now_us;
   if(!m_open)
      return;
   TellProblem();
   m_commands.Retry(now_us);
   TellProblem();
  }

//+------------------------------------------------------------------+
//| The session                                                      |
//+------------------------------------------------------------------+
void CTradingDesk::Welcomed(const SWelcome &welcome,const ulong relay_epoch,const ulong capabilities,
                            const SMoment &moment)
  {
   m_capabilities=capabilities;
   if(m_open)
      m_commands.CommitEpoch(relay_epoch);
   Obey(KnownTradingState(welcome.trading_state));
   if(m_open && (m_role & (uint)ROLE_TRADE)!=0)
      m_events.Begin(welcome.has_event_cursor,welcome.event_cursor.time_msc,welcome.event_cursor.ticket,moment,
                     (capabilities & CAPABILITY_EVENTS)!=0);
  }

void CTradingDesk::LinkLost(void)
  {
   m_queue.Clear();
   m_ready=false;
   m_capabilities=0;
   m_events.End();
   m_retold.Clear();
  }

bool CTradingDesk::Halt(const SHalt &halt,const SMoment &moment)
  {
   if(halt.relay_epoch<m_ledger.RelayEpochSeen())
      return(false);
   const uint state=KnownTradingState(halt.trading_state);
   if(m_latched && state==(uint)TRADING_STATE_ACTIVE && WriteLatch(false,moment))
      m_log.Info("trading was resumed: the dead man's switch lets orders pass again");
   Obey(state);
   return(true);
  }

void CTradingDesk::Obey(const uint said)
  {
   m_said=said;
   const uint state=(m_latched && said==(uint)TRADING_STATE_ACTIVE ? (uint)TRADING_STATE_REDUCING : said);
   if(state==m_state)
      return;
   m_state=state;
   if(m_open)
      m_commands.CommitState(state);
  }

void CTradingDesk::Heard(const MqlTradeTransaction &transaction,const MqlTradeRequest &request,
                         const MqlTradeResult &result,const long now_us)
  {
   m_executor.Heard(transaction,request,result);
   m_events.Hint(transaction,request,result,now_us);
  }

//+------------------------------------------------------------------+
//| What the relay says                                              |
//+------------------------------------------------------------------+
bool CTradingDesk::New(const uchar &body[],const SMoment &moment,string &problem)
  {
   SNew order;
   SResult result;
   if(!order.Unpack(body,problem))
      return(false);
   if(!m_open || (m_capabilities & CAPABILITY_TRADE)==0)
     {
      Deny(order.command_id,(uint)DENY_NOT_PERMITTED,"this session does not trade",moment);
      return(true);
     }
   if(m_queue.Total()<DESK_QUEUE_MAX && m_queue.Push(false,order.command_id,body))
      return(true);
   if(m_executor.Known(order,moment,result))
      m_out.Result(result);
   else
      if(!m_queue.HasNew(order.command_id))
         Deny(order.command_id,(uint)DENY_TOO_MANY,IntegerToString(m_queue.Total())+" commands wait at the terminal",
              moment);
   return(true);
  }

bool CTradingDesk::Query(const uchar &body[],const SMoment &moment,string &problem)
  {
   SQuery query;
   if(!query.Unpack(body,problem))
      return(false);
   if(m_open && m_queue.Total()<DESK_QUEUE_MAX && m_queue.Push(true,"",body))
      return(true);
   string text=IntegerToString(m_queue.Total())+" commands wait at the terminal; ask again";
   if(!m_open)
      text="this terminal's ledger cannot be used: "+m_ledger.DurabilityProblem();
   for(int i=0; i<ArraySize(query.command_ids); i++)
      Unsettled(query.command_ids[i],text,moment);
   return(true);
  }

// There may be room for more now.
void CTradingDesk::EventAck(const SEventAck &ack)
  {
   m_events.Acknowledge(ack.cursor_time_msc,ack.cursor_ticket);
   m_more_events=true;
  }

void CTradingDesk::Deny(const string command_id,const uint reason,const string text,const SMoment &moment)
  {
   SResult result;
   if(m_open)
      m_results.Denied(command_id,reason,text,moment,result);
   else
      m_refusals.Denied(command_id,reason,text,moment,result);
   m_out.Result(result);
  }

// What cannot be told now.
void CTradingDesk::Unsettled(const string command_id,const string text,const SMoment &moment)
  {
   SResult result;
   if(m_open)
      m_results.Make(command_id,(uint)OUTCOME_UNKNOWN,moment,text,result);
   else
      m_refusals.Make(command_id,(uint)OUTCOME_UNKNOWN,moment,text,result);
   m_out.Result(result);
  }

//+------------------------------------------------------------------+
//| Working                                                          |
//+------------------------------------------------------------------+
bool CTradingDesk::HasWork(const long now_us) const
  {
   if(!m_open || m_executor.UnderWay())
      return(false);
   return(m_queue.Total()>0 || m_more_events || now_us>=m_events.NextLookUs());
  }

void CTradingDesk::Work(const ulong login,const SMoment &moment)
  {
   if(!m_open || m_executor.UnderWay())
      return;
   m_ready=false;
   m_more=true;
   for(int i=0; i<DESK_PER_TURN && m_queue.Total()>0; i++)
     {
      if(m_queue.IsQuery())
         Answer(m_queue.m_query,moment);
      else
        {
         SResult result;
         if(!m_executor.Answers(m_queue.m_new,m_state,login,moment,result))
           {
            //--- it waits for what it is about to be seen, until its deadline
            m_more=!m_freshness.Holds(m_queue.m_new,moment.now_us);
            if(!m_more)
               break;
            m_ready=true;
            return;
           }
         m_out.Result(result);
        }
      m_queue.Pop();
     }
   Tell(moment);
  }

void CTradingDesk::Call(const ulong login,const SMoment &moment)
  {
   SResult result;
   m_ready=false;
   m_called=m_executor.Blocks();
   bool answered=false;
   if(m_open && m_queue.Total()>0 && !m_queue.IsQuery())
     {
      m_freshness.Sends();
      answered=m_executor.Send(m_queue.m_new,m_state,login,moment,result);
      m_queue.Pop();
     }
   if(answered)
      m_out.Result(result);
   if(m_executor.UnderWay())
      return;
   if(m_called)
      m_out.Ready();
   m_called=false;
  }

void CTradingDesk::Settle(const ulong login,const SMoment &moment)
  {
   if(!m_executor.UnderWay())
      return;
   if(login!=m_login)
     {
      //--- what the terminal shows now is another account's
      if(!m_executor.Begin(m_login,m_role,m_async))
         m_log.Error("no trading: the ledger has no incarnation");
      m_log.Warning("an order was under way when another account logged on; it will be looked for");
     }
   else
     {
      if(!m_executor.IsOver(moment.now_us,(moment.permissions & (uint)PERMISSION_TERMINAL_CONNECTED)!=0))
         return;
      SLedgerEntry entry;
      SResult result;
      const string command_id=m_executor.UnderWayId();
      if(m_executor.Returned(moment,entry,result))
         m_freshness.Traded(entry,result,moment.now_us);
      else
         m_log.Error("no memory for the outcome of "+PrintableText(command_id));
      if(result.outcome==(uint)OUTCOME_UNKNOWN && !m_returned.Put(KeyOfTag(entry.tag),moment.now_us))
         m_log.Error("no memory for the time of "+PrintableText(command_id));
      Say(result);
     }
   if(m_called)
      m_out.Ready();
   m_called=false;
  }

//+------------------------------------------------------------------+
//| Events                                                           |
//+------------------------------------------------------------------+
void CTradingDesk::Tell(const SMoment &moment)
  {
   const bool told=((m_capabilities & CAPABILITY_EVENTS)!=0);
   m_more_events=false;
   for(int i=0; i<DESK_PER_TURN; i++)
     {
      m_more_events=m_events.Next(moment,m_told);
      if(!m_more_events)
         return;
      if(told)
         m_out.Event(m_told.event);
      if(m_told.has_place)
         Seen(m_told,moment);
     }
  }

// A deal or closed order may end a command, or correct an end.
void CTradingDesk::Seen(const STold &told,const SMoment &moment)
  {
   SLedgerEntry entry;
   SResult result;
   if(m_commands.FindTrace(told.comment,told.order,entry)!=LEDGER_FOUND)
      return;
   bool better=(!IsTold(entry,told) && Refreshed(entry,moment,result));
   if(!better && told.event.recovered && entry.has_result && !m_retold.Has(KeyOfTag(entry.tag)))
      better=m_results.Replayed(entry.result,result);   // it may have ended while no relay was there to be told
   if(!better)
      return;
   if(!m_retold.Put(KeyOfTag(entry.tag),moment.now_us))
      m_log.Debug("no memory to keep a RESULT from being told twice");
   Say(result);
  }

// Nothing is new in it: an order may have been filled by more deals than its answer told of.
bool CTradingDesk::IsTold(const SLedgerEntry &entry,const STold &told)
  {
   if(!entry.has_result || entry.Outcome()!=(uint)OUTCOME_DONE)
      return(false);
   return(told.is_order || HasDeal(entry.result,told.ticket));
  }

// The RESULT that evidence adds to what is known of a command, written; false: it adds nothing.
bool CTradingDesk::Refreshed(SLedgerEntry &entry,const SMoment &moment,SResult &result)
  {
   SCase sought;
   SFinding finding;
   CaseOf(entry,sought);
   m_finder.Look(sought,finding);
   if(!AddsTo(entry,finding))
      return(false);
   //--- a QUERY is behind it, which knows how long to wait
   if(!finding.complete && IsUnresolved(entry.Outcome()))
      return(false);
   //--- others may have traded in it: its deals will tell how much was its own
   if(!finding.complete && finding.evidence==(uint)EVIDENCE_POSITIONS)
      return(false);
   return(Found(entry,finding,moment,result));
  }

// False: there is no memory.
bool CTradingDesk::Found(SLedgerEntry &entry,const SFinding &finding,const SMoment &moment,SResult &result)
  {
   if(!m_results.Found(entry,finding,moment,result) || !entry.SetResult(result))
     {
      m_log.Error("no memory for the outcome of "+PrintableText(entry.command_id));
      return(false);
     }
   m_commands.Record(entry);
   m_freshness.Traded(entry,result,moment.now_us);
   m_returned.Remove(KeyOfTag(entry.tag));
   return(true);
  }

#include <Bridge/Trade/TradingDeskQuery.mqh>
#include <Bridge/Trade/TradingDeskOwn.mqh>

#endif // BRIDGE_TRADE_TRADINGDESK_MQH
