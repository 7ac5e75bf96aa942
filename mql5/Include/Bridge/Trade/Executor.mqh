//+------------------------------------------------------------------+
//|                                                     Executor.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Executes a NEW: the checks in the protocol's order, OrderCheck, the intent, the sending.
//
// Theory of operation. Answers() answers what needs nothing to be sent; false from it means that the
// order is to be sent: BUSY goes out first when Blocks(), and Send() is called then, which looks at
// everything again. Send() answers, or the order is UnderWay() until IsOver(), and Returned()
// answers. Sent asynchronously the program goes on meanwhile, and gives every OnTradeTransaction to
// Heard(); but nothing else is sent, and no event is taken, before the answer is there: what happens
// is then the same as with a terminal that blocks.
// Rule 1: an id is executed at most once, ever. What is in the ledger is never sent again.
// Rule 2: the intent is on the disk before anything is sent, the outcome before it is told.
// Rule 3: the return code decides, never the function's own result. Only a definitive code is an end;
// everything else is UNKNOWN, and the evidence is looked for.
// May touch: everything in Trade.
// What must change together: this file, Sending.mqh, Limits.mqh, bridge/sim/trading_executor.py.

#ifndef BRIDGE_TRADE_EXECUTOR_MQH
#define BRIDGE_TRADE_EXECUTOR_MQH

#include <Bridge/Trade/Commands.mqh>
#include <Bridge/Trade/Evidence.mqh>
#include <Bridge/Trade/Limits.mqh>
#include <Bridge/Trade/OrderTag.mqh>
#include <Bridge/Trade/RequestMaker.mqh>
#include <Bridge/Trade/Results.mqh>
#include <Bridge/Trade/Sending.mqh>

//--- bytes of a broker's comment that a RESULT has room for
#define EXECUTOR_COMMENT_MAX 128

//+------------------------------------------------------------------+
//| Executes commands one at a time                                  |
//+------------------------------------------------------------------+
class CExecutor
  {
private:
   CBroker          *m_broker;
   CCommands        *m_commands;
   CRequestMaker    *m_maker;
   CEvidenceFinder  *m_finder;
   CResultMaker     *m_results;
   CTradingLimits    m_limits;
   CSending          m_sending;
   SLedgerEntry      m_entry;           // the one that is under way
   uchar             m_incarnation[];
   ulong             m_login;
   uint              m_role;

public:
                     CExecutor(CBroker *broker,CCommands *commands,CRequestMaker *maker,CEvidenceFinder *finder,
                               CResultMaker *results);
   // The ledger of this account is open; false: it has no incarnation. What was under way in an
   // earlier session of the program is forgotten: its intent is in the ledger.
   bool              Begin(const ulong login,const uint role,const bool async);
   CTradingLimits   *Limits(void) { return(GetPointer(m_limits)); }
   // Answer a NEW; false: it is to be sent.
   bool              Answers(const SNew &order,const uint state,const ulong login,const SMoment &moment,
                             SResult &result);
   // Whether Send() blocks.
   bool              Blocks(void) const { return(!m_sending.Async()); }
   // Send a NEW; true: it is answered. False: it is under way.
   bool              Send(const SNew &order,const uint state,const ulong login,const SMoment &moment,
                          SResult &result);
   bool              UnderWay(void) const { return(m_sending.State()!=SENDING_NONE); }
   string            UnderWayId(void) const { return(UnderWay() ? m_entry.command_id : ""); }
   bool              IsOver(const long now_us,const bool connected) { return(m_sending.IsOver(now_us,connected)); }
   void              Heard(const MqlTradeTransaction &transaction,const MqlTradeRequest &request,
                           const MqlTradeResult &result) { m_sending.Heard(transaction,request,result); }
   // What was under way is over: write the outcome; give its entry and the answer. False: nothing was.
   bool              Returned(const SMoment &moment,SLedgerEntry &entry,SResult &result);
   // What the ledger says of the id of a NEW; false: it does not know it.
   bool              Known(const SNew &order,const SMoment &moment,SResult &result);

private:
   //--- checks: true when they pass
   bool              Prepare(const SNew &order,const uint state,const ulong login,const SMoment &moment,
                             SDraft &draft,SResult &result);
   bool              CheckAddress(const SNew &order,const ulong login,SRefusal &refusal);
   bool              CheckState(const SNew &order,const uint state,SRefusal &refusal) const;
   bool              PassesReducing(const SNew &order) const;
   static bool       CheckPermissions(const uint permissions,SRefusal &refusal);
   static bool       CheckPermission(const uint permissions,const uint flag,const string name,const string advice,
                                     SRefusal &refusal);
   static bool       HasPassed(const long deadline_us,const SMoment &moment);
   //--- the call
   void              Draw(const SNew &order,const SDraft &draft,const SMoment &moment);
   bool              Checked(const SMoment &moment,SResult &result);
   bool              Intend(const SMoment &moment,SResult &result);
   void              Unanswered(const SMoment &moment,SResult &result) const;
   void              Answered(const MqlTradeResult &answer,const int error,const SMoment &moment,SResult &result);
   ulong             PositionOf(const MqlTradeResult &answer,const ulong of_deal);
   bool              Record(const SResult &result);
   static string     NameOf(const uint retcode);
   static uint       ErrorOf(const int error) { return((uint)(error!=0 ? error : ERR_TRADE_SEND_FAILED)); }
  };

CExecutor::CExecutor(CBroker *broker,CCommands *commands,CRequestMaker *maker,CEvidenceFinder *finder,
                     CResultMaker *results) : m_broker(broker),
                                              m_commands(commands),
                                              m_maker(maker),
                                              m_finder(finder),
                                              m_results(results),
                                              m_sending(broker),
                                              m_login(0),
                                              m_role(0)
  {
  }

bool CExecutor::Begin(const ulong login,const uint role,const bool async)
  {
   m_login=login;
   m_role=role;
   m_sending.Configure(async);
   return(m_commands.Ledger().CopyIncarnation(m_incarnation));
  }

//+------------------------------------------------------------------+
//| What the desk calls                                              |
//+------------------------------------------------------------------+
bool CExecutor::Answers(const SNew &order,const uint state,const ulong login,const SMoment &moment,
                        SResult &result)
  {
   SDraft draft;
   return(!Prepare(order,state,login,moment,draft,result));
  }

bool CExecutor::Send(const SNew &order,const uint state,const ulong login,const SMoment &moment,
                     SResult &result)
  {
   SDraft draft;
   if(UnderWay())
     {
      m_results.Denied(order.command_id,(uint)DENY_TOO_MANY,"another order is under way",moment,result);
      return(true);
     }
   if(!Prepare(order,state,login,moment,draft,result))
      return(true);
   Draw(order,draft,moment);
   if(!Checked(moment,result) || !Intend(moment,result))
      return(true);
   m_sending.Begin(m_entry.sent,moment.now_us);
   return(false);
  }

bool CExecutor::Returned(const SMoment &moment,SLedgerEntry &entry,SResult &result)
  {
   if(!UnderWay())
      return(false);
   MqlTradeResult answer={};
   int error=0;
   if(m_sending.Take(answer,error))
      Answered(answer,error,moment,result);
   else
      Unanswered(moment,result);
   return(Record(result) && entry.CopyFrom(m_entry));
  }

bool CExecutor::Known(const SNew &order,const SMoment &moment,SResult &result)
  {
   SLedgerEntry entry;
   const ENUM_LEDGER_LOOK found=m_commands.Find(order.command_id,entry);
   if(found==LEDGER_ABSENT)
      return(false);
   if(found!=LEDGER_FOUND)
     {
      m_results.Denied(order.command_id,(uint)DENY_NOT_DURABLE,m_commands.Ledger().Problem(),moment,result);
      return(true);
     }
   if(!CLedger::SameContent(entry,order.tag,order.flags,order.request))
     {
      m_results.Denied(order.command_id,(uint)DENY_DIVERGED,"this id was used for another order: take a new one",
                       moment,result);
      return(true);
     }
   if(entry.has_result && m_results.Replayed(entry.result,result))
      return(true);
   m_results.Make(entry.command_id,(uint)OUTCOME_INTENT,moment,
                  "it may have been sent; what became of it is being found out",result);
   result.replayed=true;
   result.evidence=(uint)EVIDENCE_LEDGER;
   return(true);
  }

//+------------------------------------------------------------------+
//| The checks: their order is the protocol's                        |
//+------------------------------------------------------------------+
bool CExecutor::Prepare(const SNew &order,const uint state,const ulong login,const SMoment &moment,
                        SDraft &draft,SResult &result)
  {
   if(Known(order,moment,result))
      return(false);
   SRefusal refusal={};
   bool passed=CheckAddress(order,login,refusal);
   if(passed)
      passed=m_maker.Check(order.request,order.flags,refusal);
   if(passed)
      passed=CheckState(order,state,refusal);
   if(passed)
      passed=m_limits.Check(order.request,order.flags,moment,m_broker,m_commands,m_maker,refusal);
   if(passed)
      passed=CheckPermissions(moment.permissions,refusal);
   if(passed && HasPassed(order.deadline_us,moment))
     {
      m_results.Make(order.command_id,(uint)OUTCOME_EXPIRED_NOT_SENT,moment,
                     "its deadline had passed before it was sent",result);
      return(false);
     }
   if(passed)
      passed=m_maker.Make(order.request,order.flags,order.tag,draft,refusal);
   if(!passed)
      m_results.Denied(order.command_id,refusal.reason,refusal.text,moment,result);
   return(passed);
  }

bool CExecutor::CheckAddress(const SNew &order,const ulong login,SRefusal &refusal)
  {
   const string problem=m_commands.Problem();
   if(problem!="")
      return(Refuse(refusal,(uint)DENY_NOT_DURABLE,problem));
   const ulong seen=m_commands.Ledger().RelayEpochSeen();
   if(order.relay_epoch<seen)
      return(Refuse(refusal,(uint)DENY_STALE_RELAY,
                    StringFormat("relay epoch %I64u is older than %I64u",order.relay_epoch,seen)));
   bool same=(ArraySize(m_incarnation)==ArraySize(order.incarnation));
   for(int i=0; i<ArraySize(m_incarnation) && same; i++)
      same=(m_incarnation[i]==order.incarnation[i]);
   if(!same)
      return(Refuse(refusal,(uint)DENY_WRONG_INCARNATION,"it is meant for another ledger"));
   if(order.login!=login || login!=m_login)
      return(Refuse(refusal,(uint)DENY_WRONG_ACCOUNT,
                    StringFormat("it is meant for %I64u, here is %I64u",order.login,login)));
   // Without its tag a command could not be found again.
   if(order.tag=="" || order.tag!=OrderTag(order.command_id))
      return(Refuse(refusal,(uint)DENY_INVALID,"tag: it is not the one of this id"));
   return(true);
  }

bool CExecutor::CheckState(const SNew &order,const uint state,SRefusal &refusal) const
  {
   if((order.flags & NEW_ADMIN)==0)
     {
      if(state==(uint)TRADING_STATE_REDUCING)
        {
         if(!PassesReducing(order))
            return(Refuse(refusal,(uint)DENY_REDUCING,"only closing, cancelling and changing is allowed"));
        }
      else
         if(state!=(uint)TRADING_STATE_ACTIVE)
            return(Refuse(refusal,(uint)DENY_HALTED,"trading is halted"));
     }
   if((m_role & ROLE_TRADE)==0)
      return(Refuse(refusal,(uint)DENY_ROLE,"this session does not trade"));
   return(true);
  }

bool CExecutor::PassesReducing(const SNew &order) const
  {
   const uint action=order.request.action;
   if(action==(uint)TRADE_ACTION_SLTP || action==(uint)TRADE_ACTION_MODIFY)
      return(true);
   return(ReducesOnly(order.request,order.flags,m_broker.Hedging()));
  }

bool CExecutor::CheckPermission(const uint permissions,const uint flag,const string name,const string advice,
                                SRefusal &refusal)
  {
   if((permissions & flag)!=0)
      return(true);
   return(Refuse(refusal,(uint)DENY_NOT_PERMITTED,name+": "+advice));
  }

// The flags without which a program may not trade, with what to do about each.
bool CExecutor::CheckPermissions(const uint permissions,SRefusal &refusal)
  {
   if((permissions & PERMISSION_TERMINAL_CONNECTED)==0)
      return(Refuse(refusal,(uint)DENY_NOT_CONNECTED,"the terminal has no connection to the trade server"));
   return(CheckPermission(permissions,(uint)PERMISSION_TERMINAL_TRADE_ALLOWED,"TERMINAL_TRADE_ALLOWED",
                          "switch on AutoTrading in the toolbar",refusal)
          && CheckPermission(permissions,(uint)PERMISSION_MQL_TRADE_ALLOWED,"MQL_TRADE_ALLOWED",
                             "allow algo trading in the program's properties",refusal)
          && CheckPermission(permissions,(uint)PERMISSION_ACCOUNT_TRADE_ALLOWED,"ACCOUNT_TRADE_ALLOWED",
                             "the broker does not let this account trade",refusal)
          && CheckPermission(permissions,(uint)PERMISSION_ACCOUNT_TRADE_EXPERT,"ACCOUNT_TRADE_EXPERT",
                             "the broker does not let programs trade",refusal));
  }

// Whether a time of the relay's clock is over, whatever number came as that time.
bool CExecutor::HasPassed(const long deadline_us,const SMoment &moment)
  {
   const long offset_us=moment.clock_offset_us;
   if(offset_us>0 && deadline_us>LONG_MAX-offset_us)
      return(false);
   if(offset_us<0 && deadline_us<LONG_MIN-offset_us)
      return(true);
   return(moment.now_us>deadline_us+offset_us);
  }

//+------------------------------------------------------------------+
//| The call                                                         |
//+------------------------------------------------------------------+
// What would be written of the command; there is no end of it yet.
void CExecutor::Draw(const SNew &order,const SDraft &draft,const SMoment &moment)
  {
   m_entry.command_id=order.command_id;
   m_entry.tag=order.tag;
   m_entry.flags=order.flags;
   m_entry.request=order.request;
   m_entry.sent=draft.request;
   m_entry.before_count=draft.before_count;
   for(int i=0; i<TRADE_BEFORE_MAX; i++)
      m_entry.before[i]=draft.before[i];
   m_entry.intent_msc=moment.server_msc;
   m_entry.has_result=false;
  }

// OrderCheck; false: it says no, nothing was sent. Before the intent: what is not sent leaves nothing
// behind that would have to be found out.
bool CExecutor::Checked(const SMoment &moment,SResult &result)
  {
   MqlTradeRequest request=m_entry.sent;
   MqlTradeCheckResult check={};
   m_broker.Check(request,check);
   // 0 is what it says when nothing is against the request.
   if(check.retcode==0)
      return(true);
   m_results.Make(m_entry.command_id,(uint)OUTCOME_REJECTED,moment,
                  "OrderCheck: "+NameOf(check.retcode)+"; nothing was sent",result);
   result.evidence=(uint)EVIDENCE_ORDER_CHECK;
   result.retcode=check.retcode;
   result.comment=ClipText(check.comment,EXECUTOR_COMMENT_MAX);
   result.error=ErrorOf(m_broker.LastError());
   if(m_entry.SetResult(result))
      Intend(moment,result);
   return(false);
  }

bool CExecutor::Intend(const SMoment &moment,SResult &result)
  {
   if(m_commands.Intend(m_entry))
      return(true);
   m_results.Denied(m_entry.command_id,(uint)DENY_NOT_DURABLE,m_commands.Problem(),moment,result);
   return(false);
  }

// Write what became of the command. It is true all the same when that fails.
bool CExecutor::Record(const SResult &result)
  {
   const bool kept=m_entry.SetResult(result);
   m_commands.Record(m_entry);
   return(kept);
  }

void CExecutor::Unanswered(const SMoment &moment,SResult &result) const
  {
   m_results.Make(m_entry.command_id,(uint)OUTCOME_UNKNOWN,moment,
                  "no answer from the trade server; what became of it is being found out",result);
   result.evidence=(uint)EVIDENCE_TRADE_SERVER;
   result.retcode=TRADE_RETCODE_TIMEOUT;
   if((moment.permissions & PERMISSION_TERMINAL_CONNECTED)==0)
      result.retcode=TRADE_RETCODE_CONNECTION;
   result.error=ERR_TRADE_SEND_FAILED;
  }

void CExecutor::Answered(const MqlTradeResult &answer,const int error,const SMoment &moment,SResult &result)
  {
   const uint outcome=OutcomeOf(answer.retcode,(uint)m_entry.sent.action);
   const bool executed=IsExecuted(outcome);
   string text="";
   if(!executed)
      text="trade server: "+NameOf(answer.retcode);
   if(outcome==(uint)OUTCOME_UNKNOWN)
      text+="; what became of it is being found out";
   SDealRecord deals[];
   int count=0;
   if(executed && m_finder.DealsOf(answer.order,m_entry.intent_msc,deals))
      count=ArraySize(deals);
   m_results.Make(m_entry.command_id,outcome,moment,text,result);
   result.evidence=(uint)EVIDENCE_TRADE_SERVER;
   result.retcode=answer.retcode;
   result.retcode_external=answer.retcode_external;
   result.deal=answer.deal;
   result.order=answer.order;
   result.position=PositionOf(answer,count>0 ? deals[0].position_id : 0);
   if(outcome!=(uint)OUTCOME_PLACED)
      result.volume=answer.volume;
   result.price=answer.price;
   result.bid=answer.bid;
   result.ask=answer.ask;
   result.comment=ClipText(answer.comment,EXECUTOR_COMMENT_MAX);
   result.request_id=answer.request_id;
   if(count>0)
      result.time_msc=deals[count-1].time_msc;
   if(!executed)
      result.error=ErrorOf(error);
   bool named=true;
   for(int i=0; i<count && named; i++)
      named=AddDeal(result,deals[i].ticket);
   // One that cannot be seen yet.
   if(named && answer.deal!=0)
      named=AddDeal(result,answer.deal);
  }

// The position that an answer is about, 0 when it cannot be told.
ulong CExecutor::PositionOf(const MqlTradeResult &answer,const ulong of_deal)
  {
   if(m_entry.sent.position!=0)
      return(m_entry.sent.position);
   if(of_deal!=0)
      return(of_deal);
   if(m_entry.sent.action!=TRADE_ACTION_DEAL || answer.order==0)
      return(0);
   SPositionRecord found[];
   if(!m_broker.PositionsOf(m_entry.sent.symbol,found))
      return(0);
   for(int i=0; i<ArraySize(found); i++)
      if(found[i].ticket==answer.order || found[i].identifier==answer.order)
         return(found[i].ticket);
   return(0);
  }

string CExecutor::NameOf(const uint retcode)
  {
   const string name=RetcodeName(retcode);
   return(name!="" ? name : StringFormat("return code %u",retcode));
  }

#endif // BRIDGE_TRADE_EXECUTOR_MQH
