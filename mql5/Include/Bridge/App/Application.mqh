//+------------------------------------------------------------------+
//|                                                  Application.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The terminal's program: owns everything else and turns it, once per event, in Poll().
//
// Rule 1: one thing at a time, as in MQL5's one thread. While a call blocks, nothing is heard,
// sent or timed; what arrives waits in the socket.
// Rule 2: before a call that may block, BUSY goes out and nothing follows it: the relay takes any
// frame for the end of the block.
// Rule 3: ticks and pages are made when there is room for them on the wire, never queued in the
// session. So a command waits for one frame at most, and a stream can begin anew at any moment.
// Rule 4: whatever the relay says, nothing fails: the session ends, or an answer says no.
// Rule 5: orders before everything else that may block.
//
// What must change together: this file, ApplicationHearing.mqh and bridge/sim/terminal.py.

#ifndef BRIDGE_APP_APPLICATION_MQH
#define BRIDGE_APP_APPLICATION_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Support/Clock.mqh>
#include <Bridge/Support/Log.mqh>
#include <Bridge/Wire/Spec.mqh>
#include <Bridge/Wire/Messages.mqh>
#include <Bridge/Wire/Session.mqh>
#include <Bridge/Market/TickCollector.mqh>
#include <Bridge/Market/Answers.mqh>
#include <Bridge/App/Settings.mqh>
#include <Bridge/App/Account.mqh>
#include <Bridge/App/Meter.mqh>
#include <Bridge/App/Pending.mqh>
#include <Bridge/App/RelayLink.mqh>
#include <Bridge/App/RelayOut.mqh>
#include <Bridge/Trade/DeadMan.mqh>
#include <Bridge/Trade/TradingDesk.mqh>

//--- what CopyTicks may take; announced with BUSY
#define APPLICATION_BLOCK_LIMIT_MS       45000
#define APPLICATION_SENDS_PER_TURN       16
#define APPLICATION_READS_PER_TURN       64
#define APPLICATION_BEGINS_PER_ORDER     8
//--- how long SUBSCRIBE waits for a history that is being loaded
#define APPLICATION_SYNCHRONISE_US       60000000
#define APPLICATION_SYNCHRONISE_EVERY_US 200000
#define APPLICATION_STATE_EVERY_US       50000
#define APPLICATION_SHOW_EVERY_US        1000000
//--- BUSY that nobody reads for so long ends the session
#define APPLICATION_BUSY_SENT_US         5000000

//+------------------------------------------------------------------+
//| One terminal with one account, connected to one relay or trying  |
//+------------------------------------------------------------------+
class CApplication
  {
private:
   SSettings         m_settings;
   CLog              m_log;
   CClock            m_clock;
   CAccount          m_account;
   CLoopMeter        m_meter;
   CTickCollector    m_collector;
   CPendingSubscribes m_pending;
   CAnswers         *m_answers;
   CRelayLink       *m_link;
   CRelayOut        *m_out;
   CTradingDesk     *m_desk;
   CDeadMan         *m_dead_man;
   long              m_now_us;
   bool              m_stopped;
   bool              m_announced;       // BUSY is queued, the call that it announces is not made
   long              m_announced_us;
   uint              m_announced_kind;  // ENUM_WIRE_BUSY
   bool              m_page_turn;
   //--- what heartbeats tell
   int               m_utc_offset_min;
   long              m_next_state_us;
   //--- the chart
   string            m_shown;
   long              m_next_show_us;
   CByteBuffer       m_body;

   //--- one turn
   void              Turn(void);
   void              Watch(void);
   bool              Listen(void);
   void              Send(void);
   void              Lost(void);
   long              Deadline(void) const;
   void              RunTimers(void);
   void              RefreshState(void);
   //--- work
   void              Work(void);
   void              Trade(void);
   void              Announce(const uint kind,const uint limit_ms);
   void              CallThatMayBlock(void);
   void              SendOrder(void);
   void              Now(SMoment &moment);
   bool              BeginAtOnce(const int most);
   void              Begin(const int index);
   int               NextFrame(void) const;
   bool              MakeFrame(void);
   void              MakePage(void);
   //--- what the relay says
   void              TakeEvents(void);
   void              TakeWelcome(const uchar &body[]);
   bool              TakeMessage(const int type,const uchar &body[],string &problem);
   bool              TakeSubscribe(const uchar &body[],string &problem);
   bool              TakeRequest(const uchar &body[],string &problem);
   bool              TakeRefill(const uchar &body[],string &problem);
   bool              TakeHalt(const uchar &body[],string &problem);
   bool              Has(const ulong capability) const { return((m_link.m_session.Capabilities() & capability)!=0); }
   //--- telling people
   void              TellStream(const string symbol,const SStream &stream,const SGap &gap,const bool has_gap);
   void              Show(void);

public:
                     CApplication(const SSettings &settings);
                    ~CApplication(void);
   void              Start(void);
   void              Poll(const bool everything);
   void              BookChanged(const string symbol);
   void              TradeHappened(const MqlTradeTransaction &transaction,const MqlTradeRequest &request,
                                   const MqlTradeResult &result);
   void              Stop(const int reason);
  };

CApplication::CApplication(const SSettings &settings) : m_now_us(0),
                                                        m_stopped(true),
                                                        m_announced(false),
                                                        m_announced_us(0),
                                                        m_announced_kind((uint)BUSY_READY),
                                                        m_page_turn(false),
                                                        m_utc_offset_min(0),
                                                        m_next_state_us(0),
                                                        m_shown(""),
                                                        m_next_show_us(0)
  {
   m_settings=settings;
   m_log.Level(settings.log_level);
   m_log.Name(settings.alias);
   m_collector.Symbols().Log(GetPointer(m_log));
   m_link=new CRelayLink(settings,GetPointer(m_log));
   m_out=new CRelayOut(GetPointer(m_link.m_session),GetPointer(m_log));
   m_desk=new CTradingDesk(GetPointer(m_link.m_ledger),m_out,GetPointer(m_log));
   m_answers=new CAnswers(m_collector.Reader(),m_desk.Reads());
   m_dead_man=new CDeadMan(m_desk,GetPointer(m_log));
   m_dead_man.Configure(settings.dead_man_s,settings.dead_man_action);
   m_desk.SendAsync(settings.send_async);
   CTradingLimits *limits=m_desk.Limits();
   limits.read_only=settings.read_only;
   limits.demo_only=settings.demo_only;
   limits.Symbols(settings.symbols);
   limits.max_volume=settings.max_volume;
   limits.max_per_minute=settings.max_per_minute;
   limits.max_positions=settings.max_positions;
  }

CApplication::~CApplication(void)
  {
   delete m_answers;
   delete m_dead_man;
   delete m_desk;
   delete m_out;
   delete m_link;
  }

//+------------------------------------------------------------------+
//| Its life                                                         |
//+------------------------------------------------------------------+

void CApplication::Start(void)
  {
   m_stopped=false;
   m_now_us=m_clock.NowUs();
   m_log.Info(APPLICATION_PROGRAM+" begins; the relay is expected at "+m_link.Address());
  }

// Do what is due, then wait for more, at most pump_ms: what the relay says and new ticks should
// not have to wait for the next event. With everything, streams without news are read too: at
// each timer event, not while ticks come. Returns at once when the program is stopped, and while an
// order is under way: its answer is another event, which cannot come in between. A timer event that
// is due while this runs is never told, so the wait has to end before: Windows' timer has 15.6 ms.
void CApplication::Poll(const bool everything)
  {
   if(m_stopped)
      return;
   if(everything)
      m_collector.ExpectAll();
   m_collector.LookForNews(m_clock.NowUs());
   Turn();
   const long until_us=m_now_us+(long)m_settings.pump_ms*1000;
   while(m_link.IsUp() && !IsStopped() && !m_desk.UnderWay() && m_clock.NowUs()+1000<=until_us)
     {
      Sleep(1);
      m_now_us=m_clock.NowUs();
      //--- first of all, because a turn reads only what this has found
      const bool news=m_collector.LookForNews(m_now_us);
      if(Listen() || news || m_now_us>=Deadline())
         Turn();
     }
   Show();
   m_meter.Expect(m_clock.NowUs()+(long)m_settings.timer_ms*1000);
  }

// An order book changed. Those of others on the chart are told of too, and no event is ever left
// out: waiting here would let them pile up.
void CApplication::BookChanged(const string symbol)
  {
   if(m_stopped || !m_collector.Expect(symbol))
      return;
   Turn();
   m_meter.Expect(m_clock.NowUs()+(long)m_settings.timer_ms*1000);
  }

// Something happened to the account. What is under way may be answered now.
void CApplication::TradeHappened(const MqlTradeTransaction &transaction,const MqlTradeRequest &request,
                                 const MqlTradeResult &result)
  {
   if(m_stopped)
      return;
   const bool under_way=m_desk.UnderWay();
   m_desk.Heard(transaction,request,result,m_clock.NowUs());
   if(!under_way)
      return;
   Turn();
   m_meter.Expect(m_clock.NowUs()+(long)m_settings.timer_ms*1000);
  }

// End the session in order, without waiting for the relay: MetaTrader allows 2.5 s in all. Who is
// initialised anew leaves Market Watch as it is: each symbol put back would be synchronised again.
// The next life finds them selected, and lets them be.
void CApplication::Stop(const int reason)
  {
   if(m_stopped)
      return;
   m_stopped=true;
   string text="";
   const int code=LogoutFor(reason,text);
   m_link.Close(code,text);
   if(code==LOGOUT_REINITIALISED)
      m_collector.Symbols().CloseBooks();
   else
      m_collector.Symbols().ReleaseAll();
   m_log.Info("ends");
   m_log.Flush();
   Comment("");
  }

//+------------------------------------------------------------------+
//| One turn                                                         |
//+------------------------------------------------------------------+

void CApplication::Turn(void)
  {
   m_now_us=m_clock.NowUs();
   m_meter.Turned(m_now_us);
   Watch();
   m_desk.Advance(m_now_us,m_account.Connected());
   //--- a relay that is just coming back is not kept waiting by an order that blocks
   const bool over=(m_dead_man.IsOver(m_now_us,m_link.IsUp() && m_link.m_session.Active()) && !m_link.IsUp());
   if(m_desk.UnderWay() || over)
     {
      SMoment moment={};
      Now(moment);
      m_desk.Settle(m_account.Login(),moment);
      if(over)
         m_dead_man.Turn(m_account.Login(),moment);
     }
   if(!m_link.IsUp())
     {
      if(!m_account.MayLogOn() || m_now_us<m_link.NextDialUs())
         return;
      if(!m_link.IsFor(m_account))
         m_collector.Forget();
      m_desk.LoadHistory(m_account.Login(),m_settings.role);
      if(!m_link.Dial(m_account))
         return;
      m_desk.Serve(m_account.Login(),m_settings.role);
      m_now_us=m_clock.NowUs();
      m_next_state_us=m_now_us;
     }
   if(m_announced)
     {
      Send();
      if(m_announced && m_link.Pending())
        {
         //--- SocketSend's own limit: nobody at the other end reads
         if(m_now_us-m_announced_us<APPLICATION_BUSY_SENT_US)
            return;
         m_announced=false;
         m_link.m_session.Logout(LOGOUT_HEARTBEAT_LOST,"BUSY could not be sent in time");
        }
      if(m_announced)
         CallThatMayBlock();
     }
   //--- all that is there, however little a read gives: a HALT must be heard before the next order
   int reads=0;
   while(reads<APPLICATION_READS_PER_TURN && Listen())
      reads++;
   if(!m_link.IsUp())
      return;
   RunTimers();
   if(m_link.m_session.Active())
      Work();
   Send();
   if(m_announced && !m_link.Pending())
     {
      CallThatMayBlock();
      Send();
     }
   if(m_link.IsUp() && !m_link.TendClosing(m_now_us))
      Lost();
  }

// The trade server's link and the account, at every turn.
void CApplication::Watch(void)
  {
   const bool connected=m_account.Connected();
   m_account.Look(m_now_us);
   if(m_account.Connected() && !connected)
     {
      m_log.Info("the trade server is back; ticks are read again until two readings agree");
      m_collector.OutageEnded(m_now_us);
     }
   if(connected && !m_account.Connected())
     {
      m_log.Warning("the terminal has lost its trade server");
      m_collector.OutageBegan();
     }
  }

// Hear what came. True when something did, or the connection is over.
bool CApplication::Listen(void)
  {
   if(!m_link.IsUp() || m_announced)
      return(false);
   RefreshState();
   const bool waited=(m_link.m_session.MarketInFlight()>0);
   bool came=false;
   if(!m_link.Receive(came))
     {
      Lost();
      return(true);
     }
   if(!came)
      return(false);
   m_now_us=m_clock.NowUs();
   if(waited && m_link.m_session.MarketInFlight()==0)
      m_collector.Acknowledged();
   TakeEvents();
   return(true);
  }

// Hand frames to the socket while it takes them. Market frames are made when there is room.
void CApplication::Send(void)
  {
   for(int i=0; i<APPLICATION_SENDS_PER_TURN && m_link.IsUp(); i++)
     {
      if(!m_link.Flush())
        {
         Lost();
         return;
        }
      bool any=false;
      while(m_link.HasRoom() && (m_link.Gather() || MakeFrame()))
         any=true;
      if(!any)
         return;
      if(!m_link.Dispatch())
        {
         Lost();
         return;
        }
     }
  }

// The connection is over: nothing is read or sent until the relay subscribes again.
void CApplication::Lost(void)
  {
   m_announced=false;
   m_pending.Clear();
   m_answers.Clear();
   m_collector.Rewind();
   m_desk.LinkLost();
   m_link.Over();
   m_now_us=m_clock.NowUs();
   m_next_show_us=0;
  }

// When something has to be done, apart from looking for ticks and bytes.
long CApplication::Deadline(void) const
  {
   if(!m_link.IsUp())
      return(m_link.NextDialUs());
   if(m_link.CloseUntilUs()>=0)
      return(m_link.CloseUntilUs());
   if(m_announced || m_link.Pending() || m_desk.HasMore())
      return(m_now_us);
   long deadline_us=m_link.m_session.NextDeadline();
   const long pending_us=m_pending.NextDue();
   if(pending_us<deadline_us)
      deadline_us=pending_us;
   return(deadline_us);
  }

void CApplication::RunTimers(void)
  {
   RefreshState();
   if(!m_link.IsFor(m_account))
     {
      m_link.m_session.Logout(LOGOUT_ACCOUNT_CHANGED,"another account logged on");
      m_collector.Forget();
     }
   else
      if(!m_link.m_session.Active() && !m_account.MayLogOn())
         m_link.m_session.Logout(LOGOUT_NORMAL,"the terminal is not connected");
      else
         if(m_link.m_session.Active() && m_link.LedgerReturned(m_now_us))
           {
            m_log.Info("the ledger can be used again: the session begins anew with it");
            m_link.m_session.Logout(LOGOUT_NORMAL,"the ledger can be used again");
           }
   if(m_now_us>=m_link.m_session.NextDeadline())
      m_link.m_session.HandleTimer(m_now_us);
   TakeEvents();
  }

// What the next heartbeats tell.
void CApplication::RefreshState(void)
  {
   if(m_now_us<m_next_state_us)
      return;
   m_next_state_us=m_now_us+APPLICATION_STATE_EVERY_US;
   m_utc_offset_min=m_clock.UtcOffsetMin();
   m_collector.UtcOffsetMin(m_utc_offset_min);
   STerminalState state={};
   state.permissions=m_account.Permissions();
   state.trading_state=m_desk.State();
   state.loop_interval_us=m_meter.IntervalUs();
   state.lag_us=m_meter.LagUs();
   state.server_time_msc=m_clock.ServerTimeMsc();
   state.utc_offset_min=m_utc_offset_min;
   state.ping_last_us=(int)TerminalInfoInteger(TERMINAL_PING_LAST);
   state.streams=(uint)m_collector.Streams();
   state.unacked_bytes=(uint)m_link.m_session.MarketInFlight();
   m_link.m_session.TerminalState(state);
  }

//+------------------------------------------------------------------+
//| Work                                                             |
//+------------------------------------------------------------------+

// What cannot block is done at once. One thing that may block is announced, and done when BUSY is
// on its way.
void CApplication::Work(void)
  {
   if(m_announced)
      return;
   Trade();
   if(m_announced || !m_link.m_session.Active())
      return;
   if(!BeginAtOnce(m_pending.Count()))
     {
      Announce((uint)BUSY_COPY_TICKS,APPLICATION_BLOCK_LIMIT_MS);
      return;
     }
   m_collector.Poll(m_now_us,false,m_clock);
   if(m_answers.WantsBlocking() || m_collector.WantsBlocking(m_now_us))
      Announce((uint)BUSY_COPY_TICKS,APPLICATION_BLOCK_LIMIT_MS);
  }

// Orders, answers and events. An order that blocks is announced.
void CApplication::Trade(void)
  {
   if(!m_desk.HasWork(m_now_us))
      return;
   SMoment moment={};
   Now(moment);
   m_desk.Work(m_account.Login(),moment);
   if(m_desk.WantsCall())
     {
      if(m_desk.Blocks())
         Announce((uint)BUSY_ORDER_SEND,DESK_ORDER_SEND_LIMIT_MS);
      else
         SendOrder();
     }
   //--- answers may have been too many for who does not read them
   TakeEvents();
  }

// What holds now.
void CApplication::Now(SMoment &moment)
  {
   moment.now_us=m_now_us;
   moment.server_msc=m_clock.ServerTimeMsc();
   moment.utc_offset_min=m_utc_offset_min;
   moment.permissions=m_account.Permissions();
   moment.clock_offset_us=m_link.Here(0);
  }

void CApplication::Announce(const uint kind,const uint limit_ms)
  {
   SBusy busy={};
   busy.kind=kind;
   busy.limit_ms=limit_ms;
   if(!m_link.m_session.Send(busy))
     {
      TakeEvents();
      return;
     }
   m_announced=true;
   m_announced_us=m_now_us;
   m_announced_kind=kind;
  }

void CApplication::CallThatMayBlock(void)
  {
   m_announced=false;
   if(!m_link.m_session.Active())
      return;
   if(m_announced_kind==(uint)BUSY_ORDER_SEND)
     {
      SendOrder();
      //--- the answer first; then streams and ticks, for which a row of orders leaves no other turn
      Send();
      if(m_link.IsUp() && m_link.m_session.Active())
        {
         BeginAtOnce(APPLICATION_BEGINS_PER_ORDER);
         m_collector.Poll(m_now_us,false,m_clock);
        }
      Send();
      return;
     }
   const int index=m_pending.FirstDue(m_now_us);
   if(index>=0)
      Begin(index);
   else
      if(m_answers.WantsBlocking())
         MakePage();
      else
         m_collector.Poll(m_now_us,true,m_clock);
   m_now_us=m_clock.NowUs();
   m_out.Ready();
   TakeEvents();
  }

// Send the order that waits. It is answered here when that blocks, and in a later turn when not.
void CApplication::SendOrder(void)
  {
   SMoment moment={};
   m_now_us=m_clock.NowUs();
   Now(moment);
   m_desk.Call(m_account.Login(),moment);
   m_now_us=m_clock.NowUs();
   Watch();
   Now(moment);
   m_desk.Settle(m_account.Login(),moment);
   TakeEvents();
  }

// Answer SUBSCRIBEs that wait; false when the next one may block.
bool CApplication::BeginAtOnce(const int most)
  {
   for(int left=most; left>0; left--)
     {
      const int index=m_pending.FirstDue(m_now_us);
      if(index<0)
         return(true);
      if(m_collector.MayBlock(m_pending.m_waiting[index].subscribe))
         return(false);
      Begin(index);
     }
   return(true);
  }

// Answer a SUBSCRIBE that waits, or let it wait for its history.
void CApplication::Begin(const int index)
  {
   SPendingSubscribe pending;
   m_pending.Take(index,pending);
   SStream stream={};
   SGap gap={};
   const bool has_gap=m_collector.Begin(pending.subscribe,m_now_us,(long)TimeCurrent()*1000,stream,gap);
   const long now_us=m_clock.NowUs();
   if(stream.code==(uint)ERROR_CODE_NOT_SYNCHRONISED && now_us<pending.until_us)
     {
      pending.not_before_us=now_us+APPLICATION_SYNCHRONISE_EVERY_US;
      if(m_pending.Push(pending))
         return;
     }
   TellStream(PrintableText(pending.subscribe.symbol),stream,gap,has_gap);
   //--- the relay may have logged out behind its question: nobody waits for the answer
   if(m_link.m_session.Active() && (!m_link.m_session.Send(stream) || (has_gap && !m_link.m_session.Send(gap))))
      TakeEvents();
  }

// The type of the next market frame, 0 for none. Ticks and pages take turns when both wait; a page
// waits for its room, and ticks for it.
int CApplication::NextFrame(void) const
  {
   if(!m_link.m_session.Active() || m_announced)
      return(0);
   const bool ticks_wait=m_collector.WantsToSend();
   const bool pages_wait=(m_answers.Any() && !m_answers.WantsBlocking());
   const int in_flight=m_link.m_session.MarketInFlight();
   if(pages_wait && (m_page_turn || !ticks_wait))
      return(in_flight+WIRE_FRAME_MAX<=WIRE_MARKET_WINDOW ? (int)FRAME_PAGE : 0);
   if(ticks_wait && in_flight+WIRE_MARKET_FRAME_MAX<=WIRE_MARKET_WINDOW)
      return((int)FRAME_TICKS);
   return(0);
  }

bool CApplication::MakeFrame(void)
  {
   const int type=NextFrame();
   if(type==0)
      return(false);
   m_page_turn=(type==(int)FRAME_TICKS);
   if(type==(int)FRAME_PAGE)
     {
      MakePage();
      return(true);
     }
   return(m_collector.Take(m_now_us,m_body) && m_link.m_session.SendMarket(m_body));
  }

void CApplication::MakePage(void)
  {
   SPage page;
   if(m_answers.NextPage(m_now_us,page) && m_link.m_session.Active() && !m_link.m_session.Send(page))
      TakeEvents();
  }

//+------------------------------------------------------------------+
//| Telling people                                                   |
//+------------------------------------------------------------------+

void CApplication::TellStream(const string symbol,const SStream &stream,const SGap &gap,const bool has_gap)
  {
   if(stream.code!=(uint)ERROR_CODE_OK)
      m_log.Warning("'"+symbol+"' does not stream: "+stream.text);
   else
      if(has_gap)
         m_log.Warning("'"+symbol+"' begins anew: "+gap.text);
      else
         if(stream.continuity==(uint)CONTINUITY_RESUMED)
            m_log.Debug("'"+symbol+"' goes on");   // after every reconnection, each of them
         else
            m_log.Info("'"+symbol+"' streams");
  }

// The line on the chart: what is the matter now, and how much goes through.
void CApplication::Show(void)
  {
   if(m_now_us<m_next_show_us)
      return;
   m_next_show_us=m_now_us+APPLICATION_SHOW_EVERY_US;
   string text=m_link.Status();
   if(m_link.IsUp() && m_link.m_session.Active())
     {
      text+=StringFormat(", %d symbols, %I64d ticks",m_collector.Streams(),m_collector.TicksNumbered());
      if(m_desk.Problem()!="")
         text+="; no trading: "+m_desk.Problem();
     }
   if(!m_link.IsUp() && !m_account.Connected())
      text="waits until the terminal has its trade server";
   if(!m_link.IsUp() && m_account.Login()==0)
      text="waits until an account is logged on";
   if(text==m_shown)
      return;
   m_shown=text;
   Comment("Bridge '"+m_settings.alias+"': "+text);
  }

#include <Bridge/App/ApplicationHearing.mqh>

#endif // BRIDGE_APP_APPLICATION_MQH
