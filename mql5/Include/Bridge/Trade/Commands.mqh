//+------------------------------------------------------------------+
//|                                                     Commands.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The ledger as the trading side uses it: what cannot be written is kept in memory and tried again,
// and no new order is taken meanwhile. Also what its commands claim at the broker.
//
// May touch: Ledger.mqh.
// What must change together: this file, bridge/sim/trading_commands.py, and the claims in
// bridge/sim/trading.py.

#ifndef BRIDGE_TRADE_COMMANDS_MQH
#define BRIDGE_TRADE_COMMANDS_MQH

#include <Bridge/Trade/Evidence.mqh>
#include <Bridge/Trade/Ledger.mqh>
#include <Bridge/Trade/Structures.mqh>

//+------------------------------------------------------------------+
//| The commands of one ledger                                       |
//+------------------------------------------------------------------+
class CCommands : public CClaims
  {
private:
   CLedger          *m_ledger;
   string            m_problem;         // why no order is taken; empty when the ledger does what it should
   SLedgerEntry      m_unwritten[];
   long              m_again_us;

public:
                     CCommands(CLedger *ledger);
   // The ledger was opened; what an earlier one could not write is forgotten.
   void              Begin(void);
   string            Problem(void) const { return(m_problem); }
   CLedger          *Ledger(void) { return(m_ledger); }
   // The newest that is known of a command.
   ENUM_LEDGER_LOOK  Find(const string command_id,SLedgerEntry &entry);
   // The command whose order has this comment, or else this ticket.
   ENUM_LEDGER_LOOK  FindTrace(const string comment,const ulong order,SLedgerEntry &entry);
   // Write an intent, before its order is sent; false: the order must not be sent.
   bool              Intend(const SLedgerEntry &entry);
   // Write an outcome. When that fails it is kept in memory and tried again: the RESULT is true all
   // the same, and after a crash the evidence at the broker is the same.
   void              Record(const SLedgerEntry &entry);
   // Remember a relay's epoch; without it on the disk no order is taken.
   void              CommitEpoch(const ulong relay_epoch);
   // Remember the trading state; it holds at once, also when the disk refuses.
   void              CommitState(const uint state);
   // Try once a second to write what could not be written.
   void              Retry(const long now_us);
   int               Unwritten(void) const { return(ArraySize(m_unwritten)); }
   //--- claims
   virtual int       BelongsToAnother(const string command_id,const ulong order) override;
   virtual int       Rivals(const SCase &sought) override;

private:
   void              Fail(void);
   int               UnwrittenOf(const string command_id) const;
   void              Keep(const SLedgerEntry &entry);
   void              Drop(const int place);
   ENUM_LEDGER_LOOK  Newest(const ENUM_LEDGER_LOOK found,SLedgerEntry &entry);
  };

CCommands::CCommands(CLedger *ledger) : m_ledger(ledger),
                                        m_problem("the ledger is not open"),
                                        m_again_us(0)
  {
  }

void CCommands::Begin(void)
  {
   ArrayFree(m_unwritten);
   m_again_us=0;
   m_problem=(m_ledger.Durable() ? "" : "the ledger's file does not keep what is written");
  }

//+------------------------------------------------------------------+
//| Looking                                                          |
//+------------------------------------------------------------------+
ENUM_LEDGER_LOOK CCommands::Find(const string command_id,SLedgerEntry &entry)
  {
   const int place=UnwrittenOf(command_id);
   if(place>=0)
      return(entry.CopyFrom(m_unwritten[place]) ? LEDGER_FOUND : LEDGER_FAILED);
   return(m_ledger.Find(command_id,entry));
  }

ENUM_LEDGER_LOOK CCommands::FindTrace(const string comment,const ulong order,SLedgerEntry &entry)
  {
   ENUM_LEDGER_LOOK found=LEDGER_ABSENT;
   if(StringFind(comment,ORDER_TAG_PREFIX)==0)
      found=m_ledger.FindTag(comment,entry);
   if(found!=LEDGER_ABSENT)
      return(Newest(found,entry));
   found=m_ledger.FindOrder(order,entry);
   if(found!=LEDGER_ABSENT)
      return(Newest(found,entry));
//--- a ticket that could not be written yet
   for(int i=0; i<ArraySize(m_unwritten) && order!=0; i++)
      if(m_unwritten[i].MadeOrder()==order)
         return(entry.CopyFrom(m_unwritten[i]) ? LEDGER_FOUND : LEDGER_FAILED);
   return(LEDGER_ABSENT);
  }

ENUM_LEDGER_LOOK CCommands::Newest(const ENUM_LEDGER_LOOK found,SLedgerEntry &entry)
  {
   if(found!=LEDGER_FOUND)
      return(found);
   const int place=UnwrittenOf(entry.command_id);
   if(place<0)
      return(LEDGER_FOUND);
   return(entry.CopyFrom(m_unwritten[place]) ? LEDGER_FOUND : LEDGER_FAILED);
  }

//+------------------------------------------------------------------+
//| Writing                                                          |
//+------------------------------------------------------------------+
bool CCommands::Intend(const SLedgerEntry &entry)
  {
   if(m_ledger.Write(entry))
      return(true);
   Fail();
   return(false);
  }

// Why nothing is written; never nothing, because nothing is what lets orders pass.
void CCommands::Fail(void)
  {
   m_problem=m_ledger.Problem();
   if(m_problem=="")
      m_problem="the ledger cannot be written";
  }

void CCommands::Record(const SLedgerEntry &entry)
  {
   if(m_ledger.Write(entry))
     {
      Drop(UnwrittenOf(entry.command_id));
      return;
     }
   Fail();
   Keep(entry);
  }

void CCommands::CommitEpoch(const ulong relay_epoch)
  {
   if(!m_ledger.SeeRelayEpoch(relay_epoch))
      Fail();
  }

void CCommands::CommitState(const uint state)
  {
   if(!m_ledger.CommitState(state))
      Fail();
  }

void CCommands::Retry(const long now_us)
  {
   if(m_problem=="" || !m_ledger.Durable() || now_us<m_again_us)
      return;
   m_again_us=now_us+COMMANDS_AGAIN_AFTER_US;
//--- a ledger that takes these takes an intent
   if(!m_ledger.CommitEpoch(m_ledger.RelayEpochSeen()) || !m_ledger.CommitState(m_ledger.TradingState()))
      return;
   while(ArraySize(m_unwritten)>0)
     {
      if(!m_ledger.Write(m_unwritten[0]))
         return;
      Drop(0);
     }
   m_problem="";
  }

//+------------------------------------------------------------------+
//| Claims                                                           |
//+------------------------------------------------------------------+
int CCommands::BelongsToAnother(const string command_id,const ulong order)
  {
   SLedgerEntry entry;
   const ENUM_LEDGER_LOOK found=FindTrace("",order,entry);
   if(found==LEDGER_FAILED)
      return(-1);
   return(found==LEDGER_FOUND && entry.command_id!=command_id ? 1 : 0);
  }

int CCommands::Rivals(const SCase &sought)
  {
   if(!sought.has_sent)
      return(0);
   SLedgerEntry others[];
   if(!m_ledger.Unresolved(others))
      return(-1);
   const long narrow=DESK_ORDER_SEND_LIMIT_MS+DESK_UNTIL_MSC;
   int rivals=0;
   for(int i=0; i<ArraySize(others); i++)
     {
      if(others[i].command_id==sought.command_id || others[i].sent.symbol!=sought.sent.symbol ||
         others[i].sent.type!=sought.sent.type || others[i].sent.magic!=sought.sent.magic)
         continue;
      if(!IsNear(others[i].sent.volume,sought.sent.volume))
         continue;
      const long later=others[i].intent_msc-sought.from_msc;
      if(later>=-narrow && later<=narrow)
         rivals++;
     }
   return(rivals);
  }

//+------------------------------------------------------------------+
//| What could not be written                                        |
//+------------------------------------------------------------------+
int CCommands::UnwrittenOf(const string command_id) const
  {
   for(int i=0; i<ArraySize(m_unwritten); i++)
      if(m_unwritten[i].command_id==command_id)
         return(i);
   return(-1);
  }

// In place of an earlier one of the same command.
void CCommands::Keep(const SLedgerEntry &entry)
  {
   int place=UnwrittenOf(entry.command_id);
   if(place<0)
     {
      place=ArraySize(m_unwritten);
      if(ArrayResize(m_unwritten,place+1,16)!=place+1)
         return;
     }
   if(!m_unwritten[place].CopyFrom(entry))
      Drop(place);
  }

void CCommands::Drop(const int place)
  {
   const int total=ArraySize(m_unwritten);
   if(place<0 || place>=total)
      return;
   for(int i=place; i<total-1; i++)
      if(!m_unwritten[i].CopyFrom(m_unwritten[i+1]))
         m_problem="no memory for what could not be written";
   if(ArrayResize(m_unwritten,total-1)!=total-1)
      m_problem="no memory for what could not be written";
  }

#endif // BRIDGE_TRADE_COMMANDS_MQH
