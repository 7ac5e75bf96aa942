//+------------------------------------------------------------------+
//|                                               TradingDeskOwn.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What CTradingDesk does without a relay: commands of the terminal's own, through the same checks,
// limits and ledger as all others, and the latch that keeps anything from being opened. A part of
// TradingDesk.mqh, whose rules hold here; include that one.
//
// Rule 1: nothing is sent in a symbol while a command in it has no end.
// Rule 2: the relay is not told of RESULTs of commands that are not its own. It hears of them by
// events.

#ifndef BRIDGE_TRADE_TRADINGDESKOWN_MQH
#define BRIDGE_TRADE_TRADINGDESKOWN_MQH

#include <Bridge/Trade/TradingDesk.mqh>

void CTradingDesk::Say(const SResult &result)
  {
   if(!IsOwn(result.command_id))
     {
      m_out.Result(result);
      return;
     }
   string text="the terminal's own "+result.command_id+": "+OutcomeText(result.outcome);
   if(result.text!="")
      text+=", "+PrintableText(result.text);
   m_log.Warning(text);
  }

bool CTradingDesk::IsOurs(const string comment,const ulong order)
  {
   SLedgerEntry entry;
   return(m_commands.FindTrace(comment,order,entry)==LEDGER_FOUND);
  }

bool CTradingDesk::Unsettled(const uint settle_ms,const SMoment &moment,string &symbols[])
  {
   SLedgerEntry entries[];
   ArrayFree(symbols);
   if(!m_ledger.Unresolved(entries))
      return(false);
   for(int i=0; i<ArraySize(entries); i++)
     {
      SLedgerEntry entry;
      SResult result;
      //--- the newest that is known: what could not be written counts
      if(m_commands.Find(entries[i].command_id,entry)!=LEDGER_FOUND)
         return(false);
      if(!IsUnresolved(entry.Outcome()))
         continue;
      if(Known(entry,settle_ms,moment,result) && !IsUnresolved(result.outcome))
        {
         Say(result);
         continue;
        }
      const int total=ArraySize(symbols);
      if(ArrayResize(symbols,total+1,16)!=total+1)
         return(false);
      symbols[total]=entry.sent.symbol;
     }
   return(true);
  }

ENUM_OWN_SENT CTradingDesk::SendOwn(const string command_id,const SOrderRequest &request,const ulong login,
                                    const SMoment &moment,SResult &result)
  {
   SNew order;
   order.command_id=command_id;
   order.tag=OrderTag(command_id);
   order.deadline_us=LONG_MAX;
   order.relay_epoch=m_ledger.RelayEpochSeen();
   order.login=login;
   order.flags=(uint)NEW_ADMIN;
   if(request.action==(uint)TRADE_ACTION_DEAL)
      order.flags|=(uint)NEW_REDUCE_ONLY;
   order.request=request;
   for(int i=0; i<ArraySize(order.incarnation) && i<ArraySize(m_incarnation); i++)
      order.incarnation[i]=m_incarnation[i];
   if(m_freshness.Holds(order,moment.now_us))
      return(OWN_SENT_HELD);
   m_freshness.Sends();
   m_called=false;
   if(m_executor.Send(order,m_state,login,moment,result))
      return(OWN_SENT_ANSWERED);
   return(OWN_SENT_UNDER_WAY);
  }

//+------------------------------------------------------------------+
//| The latch                                                        |
//+------------------------------------------------------------------+
void CTradingDesk::Latch(const SMoment &moment)
  {
   if(m_latched)
      return;
   if(!WriteLatch(true,moment))
      m_log.Error("no memory for the dead man's switch");
   Obey(m_said);
  }

// It is an entry of the ledger, so it is there after a restart. It holds also when the disk refuses.
bool CTradingDesk::WriteLatch(const bool latched,const SMoment &moment)
  {
   SLedgerEntry entry;
   SResult result;
   m_latched=latched;
   entry.command_id=DESK_LATCH_ID;
   entry.tag=OrderTag(entry.command_id);
   entry.sent.symbol="";
   entry.sent.comment="";
   entry.intent_msc=0;   // not one of the orders of a minute
   m_results.Make(entry.command_id,(latched ? (uint)OUTCOME_DONE : (uint)OUTCOME_NOT_FOUND),moment,
                  "the dead man's switch",result);
   if(!entry.SetResult(result))
      return(false);
   m_commands.Record(entry);
   return(true);
  }

#endif // BRIDGE_TRADE_TRADINGDESKOWN_MQH
