//+------------------------------------------------------------------+
//|                                                      Results.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// RESULTs: made anew, made of what the trade server said, or of evidence found later.
//
// A RESULT is told again only when it says more than the last one (AddsTo).
// May touch: nothing.
// What must change together: this file, bridge/sim/trading_results.py.

#ifndef BRIDGE_TRADE_RESULTS_MQH
#define BRIDGE_TRADE_RESULTS_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Wire/Spec.mqh>
#include <Bridge/Wire/MessagesTrade.mqh>
#include <Bridge/Trade/Constants.mqh>
#include <Bridge/Trade/Retcodes.mqh>
#include <Bridge/Trade/Structures.mqh>

//--- bytes of a sentence: fits its field whatever the last character was
#define RESULT_TEXT_MAX 250

//+------------------------------------------------------------------+
//| What outcomes are worth                                          |
//+------------------------------------------------------------------+
// What a return code of OrderSend means: some servers answer an accepted pending order with DONE,
// and it is placed all the same.
uint OutcomeOf(const uint retcode,const uint action)
  {
   switch(RetcodeClass(retcode))
     {
      case RETCODE_CLASS_DEFINITIVE_REJECT:
         return((uint)OUTCOME_REJECTED);
      case RETCODE_CLASS_DONE:
         if(action==(uint)TRADE_ACTION_PENDING)
            return((uint)OUTCOME_PLACED);
         return((uint)OUTCOME_DONE);
      case RETCODE_CLASS_PARTIAL:
         return((uint)OUTCOME_PARTIAL);
      case RETCODE_CLASS_PLACED:
         return((uint)OUTCOME_PLACED);
     }
   return((uint)OUTCOME_UNKNOWN);
  }

// How much of an execution an outcome tells of: 0 for none.
int OutcomeRank(const uint outcome)
  {
   if(outcome==(uint)OUTCOME_PLACED)
      return(1);
   if(outcome==(uint)OUTCOME_PARTIAL)
      return(2);
   if(outcome==(uint)OUTCOME_DONE)
      return(3);
   return(0);
  }

bool IsExecuted(const uint outcome)
  {
   return(OutcomeRank(outcome)>0);
  }

// Outcomes that any evidence of an execution replaces.
bool IsNotExecuted(const uint outcome)
  {
   return(outcome==(uint)OUTCOME_INTENT || outcome==(uint)OUTCOME_UNKNOWN
          || outcome==(uint)OUTCOME_NOT_FOUND || outcome==(uint)OUTCOME_REJECTED);
  }

// Whether a command has no end: evidence is looked for.
bool IsUnresolved(const uint outcome)
  {
   return(outcome==(uint)OUTCOME_INTENT || outcome==(uint)OUTCOME_UNKNOWN);
  }

bool HasDeal(const SResult &result,const ulong deal)
  {
   for(int i=0; i<ArraySize(result.deals); i++)
      if(result.deals[i]==deal)
         return(true);
   return(false);
  }

// Name one more deal, once; false when there is no memory. Those beyond the limit are left out.
bool AddDeal(SResult &result,const ulong deal)
  {
   const int total=ArraySize(result.deals);
   if(total>=RESULT_DEALS_MAX || HasDeal(result,deal))
      return(true);
   if(ArrayResize(result.deals,total+1,RESULT_DEALS_MAX)!=total+1)
      return(false);
   result.deals[total]=deal;
   return(true);
  }

// Whether evidence says more than the last RESULT of an entry did.
bool AddsTo(const SLedgerEntry &entry,const SFinding &finding)
  {
   const bool executed=IsExecuted(finding.outcome);
   if(!entry.has_result)
      return(executed || finding.outcome==(uint)OUTCOME_REJECTED);
   const uint known=entry.result.outcome;
   if(finding.outcome==(uint)OUTCOME_REJECTED)
      return(IsUnresolved(known) || known==(uint)OUTCOME_PLACED);
   if(!executed)
      return(false);
   if(IsNotExecuted(known))
      return(true);
   if(OutcomeRank(finding.outcome)!=OutcomeRank(known))
      return(OutcomeRank(finding.outcome)>OutcomeRank(known));
   if(ArraySize(entry.result.deals)>=RESULT_DEALS_MAX)
      return(false);
   for(int i=0; i<ArraySize(finding.deals); i++)
      if(!HasDeal(entry.result,finding.deals[i]))
         return(true);
   return(false);
  }

//+------------------------------------------------------------------+
//| Makes the RESULTs of one ledger                                  |
//+------------------------------------------------------------------+
class CResultMaker
  {
private:
   uchar             m_incarnation[16];

public:
                     CResultMaker(void) { ArrayInitialize(m_incarnation,0); }
   bool              Begin(const uchar &incarnation[]);
   void              Make(const string command_id,const uint outcome,const SMoment &moment,const string text,
                          SResult &result) const;
   void              Denied(const string command_id,const uint reason,const string text,const SMoment &moment,
                            SResult &result) const;
   bool              Replayed(const SResult &known,SResult &result) const;
   bool              Found(const SLedgerEntry &entry,const SFinding &finding,const SMoment &moment,SResult &result) const;
  };

// From now on they are those of this ledger; false: it is no incarnation.
bool CResultMaker::Begin(const uchar &incarnation[])
  {
   const int size=ArraySize(m_incarnation);
   if(ArraySize(incarnation)!=size)
      return(false);
   return(ArrayCopy(m_incarnation,incarnation)==size);
  }

// A RESULT with nothing in its other fields, which may be set then.
void CResultMaker::Make(const string command_id,const uint outcome,const SMoment &moment,const string text,
                        SResult &result) const
  {
   result.command_id=command_id;
   result.outcome=outcome;
   for(int i=0; i<ArraySize(m_incarnation); i++)
      result.incarnation[i]=m_incarnation[i];
   result.replayed=false;
   result.evidence=(uint)EVIDENCE_NONE;
   result.retcode=0;
   result.retcode_external=0;
   result.deal=0;
   result.order=0;
   result.position=0;
   result.volume=0.0;
   result.price=0.0;
   result.bid=0.0;
   result.ask=0.0;
   result.comment="";
   result.request_id=0;
   result.time_msc=moment.server_msc;
   result.utc_offset_min=moment.utc_offset_min;
   result.error=0;
   result.text=ClipText(text,RESULT_TEXT_MAX);
   ArrayFree(result.deals);
   result.reason=(uint)DENY_NONE;
  }

// A DENIED: nothing was sent.
void CResultMaker::Denied(const string command_id,const uint reason,const string text,const SMoment &moment,
                          SResult &result) const
  {
   Make(command_id,(uint)OUTCOME_DENIED,moment,text,result);
   result.reason=reason;
  }

// What the ledger says again; false: there is no memory.
bool CResultMaker::Replayed(const SResult &known,SResult &result) const
  {
   if(!CopyResult(known,result))
      return(false);
   result.replayed=true;
   result.evidence=(uint)EVIDENCE_LEDGER;
   return(true);
  }

// What evidence says, with what was known from the trade server before; false: there is no memory.
// An entry that is no more than an id has no result.
bool CResultMaker::Found(const SLedgerEntry &entry,const SFinding &finding,const SMoment &moment,SResult &result) const
  {
   if(!entry.has_result)
      Make(entry.command_id,(uint)OUTCOME_INTENT,moment,"",result);
   else
      if(!CopyResult(entry.result,result))
         return(false);
   const int found=ArraySize(finding.deals);
   result.outcome=finding.outcome;
   result.replayed=true;
   result.evidence=finding.evidence;
   if(finding.order!=0)
      result.order=finding.order;
   if(result.deal==0 && found>0)
      result.deal=finding.deals[found-1];
   for(int i=0; i<found; i++)
      if(!AddDeal(result,finding.deals[i]))
         return(false);
   if(finding.position!=0)
      result.position=finding.position;
   if(finding.volume!=0.0)
      result.volume=finding.volume;
   if(finding.price!=0.0)
      result.price=finding.price;
   if(finding.time_msc!=0)
      result.time_msc=finding.time_msc;
   result.utc_offset_min=moment.utc_offset_min;
   result.text=ClipText(finding.text,RESULT_TEXT_MAX);
   result.reason=(uint)DENY_NONE;
   return(true);
  }

#endif // BRIDGE_TRADE_RESULTS_MQH
