//+------------------------------------------------------------------+
//|                                             TradingDeskQuery.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What CTradingDesk answers to a QUERY. A part of TradingDesk.mqh, whose rules hold here; include
// that one.

#ifndef BRIDGE_TRADE_TRADINGDESKQUERY_MQH
#define BRIDGE_TRADE_TRADINGDESKQUERY_MQH

#include <Bridge/Trade/TradingDesk.mqh>

//+------------------------------------------------------------------+
//| QUERY                                                            |
//+------------------------------------------------------------------+
void CTradingDesk::Answer(const SQuery &query,const SMoment &moment)
  {
   for(int i=0; i<ArraySize(query.command_ids); i++)
     {
      SResult result;
      AnswerOne(query,i,moment,result);
      m_out.Result(result);
     }
  }

void CTradingDesk::AnswerOne(const SQuery &query,const int place,const SMoment &moment,SResult &result)
  {
   SLedgerEntry entry;
   const string command_id=query.command_ids[place];
   const bool told=(ArraySize(query.commands)==ArraySize(query.command_ids));
   const ENUM_LEDGER_LOOK look=m_commands.Find(command_id,entry);
   if(look==LEDGER_FOUND)
     {
      if(!Known(entry,query.settle_ms,moment,result))
         m_results.Make(command_id,(uint)OUTCOME_UNKNOWN,moment,"the terminal has no memory left",result);
      return;
     }
   if(look!=LEDGER_ABSENT)
     {
      m_results.Make(command_id,(uint)OUTCOME_UNKNOWN,moment,m_ledger.Problem(),result);
      return;
     }
   if(told)
     {
      WithoutLedger(command_id,query.commands[place],moment,result);
      return;
     }
   m_results.Make(command_id,(uint)OUTCOME_NEVER_SEEN,moment,"",result);
   result.replayed=true;
   result.evidence=(uint)EVIDENCE_LEDGER;
  }

// Rules 1 and 2 of QUERY. False: there is no memory.
bool CTradingDesk::Known(SLedgerEntry &entry,const uint settle_ms,const SMoment &moment,SResult &result)
  {
   const bool connected=((moment.permissions & (uint)PERMISSION_TERMINAL_CONNECTED)!=0);
   if(!IsUnresolved(entry.Outcome()))
     {
      if(connected && Refreshed(entry,moment,result))
         return(true);
      return(m_results.Replayed(entry.result,result));
     }
   if(!connected)
      return(Open(entry,"the terminal has no connection to the trade server",(uint)OUTCOME_INTENT,moment,result));
   SCase sought;
   SFinding finding;
   CaseOf(entry,sought);
   m_finder.Look(sought,finding);
   const bool settled=IsSettled(entry,settle_ms,moment.now_us);
   if(AddsTo(entry,finding))
     {
      //--- an end that lacks a deal would be told once and put right behind it
      if(!finding.complete && !settled)
         return(Open(entry,"not all of its deals can be seen yet",(uint)OUTCOME_INTENT,moment,result));
      return(Found(entry,finding,moment,result));
     }
   if(finding.outcome==(uint)OUTCOME_UNKNOWN)
      return(Open(entry,finding.text,(uint)OUTCOME_UNKNOWN,moment,result));
   if(!settled)
      return(Open(entry,"no trace yet",(uint)OUTCOME_INTENT,moment,result));
   string text="no trace after the settle time: not executed";
   if(finding.text!="")
      text+=" "+finding.text;
   finding.text=text;
   return(Found(entry,finding,moment,result));
  }

// It has no end yet.
bool CTradingDesk::Open(const SLedgerEntry &entry,const string text,const uint outcome,const SMoment &moment,
                        SResult &result) const
  {
   SFinding finding;
   finding.Set(outcome,(uint)EVIDENCE_LEDGER,text);
   return(m_results.Found(entry,finding,moment,result));
  }

// Counted by this program's own clock alone, from the latest of: the return of the call, the begin of
// this program, the connection to the trade server.
bool CTradingDesk::IsSettled(const SLedgerEntry &entry,const uint settle_ms,const long now_us) const
  {
   if(m_connected_since_us==DESK_NEVER_US)
      return(false);
   const long since_us=MathMax(m_connected_since_us,m_returned.TimeOf(KeyOfTag(entry.tag),m_connected_since_us));
   return(now_us-since_us>=(long)settle_ms*1000);
  }

// Rule 4 of QUERY: only what is found counts.
void CTradingDesk::WithoutLedger(const string command_id,const SQueriedCommand &command,const SMoment &moment,
                                 SResult &result)
  {
   SLedgerEntry entry;
   SFinding finding;
   SCase sought;
   entry.command_id=command_id;
   sought.command_id=command_id;
   sought.tag=command.tag;
   sought.request=command.request;
   MakeComparable(sought.request,command.flags);
//--- whatever number came as that time
   const long utc_msc=MathMin(MathMax(command.time_utc_msc,0),TRACES_END_OF_TIME);
   sought.from_msc=utc_msc+moment.utc_offset_min*DESK_MINUTE_MSC;
   sought.until_msc=sought.from_msc+DESK_UNTIL_MSC;
   if((moment.permissions & (uint)PERMISSION_TERMINAL_CONNECTED)!=0)
     {
      m_finder.Look(sought,finding);
      if(AddsTo(entry,finding) && m_results.Found(entry,finding,moment,result))
         return;
     }
   m_results.Make(command_id,(uint)OUTCOME_UNKNOWN,moment,
                  "another ledger took it, and there is no trace: a person has to decide",result);
   result.replayed=true;
  }

void CTradingDesk::CaseOf(const SLedgerEntry &entry,SCase &sought)
  {
   sought.command_id=entry.command_id;
   sought.tag=entry.tag;
   sought.request=entry.request;
   sought.has_sent=true;
   sought.sent=entry.sent;
   sought.before_count=entry.before_count;
   for(int i=0; i<TRADE_BEFORE_MAX; i++)
      sought.before[i]=entry.before[i];
   sought.from_msc=entry.intent_msc;
   sought.until_msc=entry.intent_msc+DESK_ORDER_SEND_LIMIT_MS+DESK_UNTIL_MSC;
   const uint outcome=entry.Outcome();
   sought.ended=(outcome==(uint)OUTCOME_REJECTED || outcome==(uint)OUTCOME_NOT_FOUND);
  }

#endif // BRIDGE_TRADE_TRADINGDESKQUERY_MQH
