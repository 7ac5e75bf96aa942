//+------------------------------------------------------------------+
//|                                                     Evidence.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What became of a command whose answer never came: its traces at the broker.
//
// A command is looked for where its action leaves traces: orders, history and positions by the tag
// in their comment and by magic; a modification by the present values; a cancellation by the order's
// state; a close-by by its deals. NOT_FOUND says that there is no trace now, which means something
// only when the settle time is over, and UNKNOWN that the traces cannot decide. Who asks turns the
// first into INTENT while it is too early.
//
// Rule 1: a trace decides, its absence does not: what could have been done and undone since, or by
// somebody else, is UNKNOWN.
// Rule 2: what counts as not executed is changed by its tag alone: what happened since without it is
// another's doing.
// Rule 3: a broker that rewrites comments leaves magic, symbol, side, volume and time. A command that
// two orders fit, or an order that two commands fit, is UNKNOWN.
// Rule 4: what cannot be read is UNKNOWN, never "not found".
// Open orders are read before the history: one that ends in between is in both, not in neither.
// May touch: what CBroker touches.
// What must change together: this file, bridge/sim/trading_evidence.py.

#ifndef BRIDGE_TRADE_EVIDENCE_MQH
#define BRIDGE_TRADE_EVIDENCE_MQH

#include <Bridge/Trade/BrokerAccess.mqh>
#include <Bridge/Trade/Comparison.mqh>
#include <Bridge/Trade/Structures.mqh>

//--- digits that a sum of volumes is rounded to
#define EVIDENCE_VOLUME_DIGITS 8

//+------------------------------------------------------------------+
//| What other commands claim                                        |
//+------------------------------------------------------------------+
class CClaims
  {
public:
   // Whether an order's ticket is known to be another command's: 1, 0, or -1 when it cannot be told.
   virtual int       BelongsToAnother(const string command_id,const ulong order) { return(-1); }
   // How many other commands without an end would leave the same trace; -1: it cannot be told.
   virtual int       Rivals(const SCase &sought) { return(-1); }
  };

//+------------------------------------------------------------------+
//| Looks for the traces of commands                                 |
//+------------------------------------------------------------------+
class CEvidenceFinder
  {
private:
   CBroker          *m_broker;
   CClaims          *m_claims;
   //--- what was read for one look
   SOrderRecord      m_open[];
   SOrderRecord      m_closed[];
   SDealRecord       m_deals[];
   ulong             m_tickets[];       // orders that fit

public:
                     CEvidenceFinder(CBroker *broker,CClaims *claims) : m_broker(broker),m_claims(claims) { }
   // What the broker's records say of a command now.
   void              Look(const SCase &sought,SFinding &finding);
   // The deals of an order that can be seen now, in their order; false: they cannot be read.
   bool              DealsOf(const ulong order,const long from_msc,SDealRecord &found[]);

private:
   //--- DEAL and PENDING
   void              FindOrder(const SCase &sought,SFinding &finding);
   bool              FindPosition(const SCase &sought,SFinding &finding);
   void              JudgePosition(const SCase &sought,const SPositionRecord &position,SFinding &finding) const;
   void              FindUntagged(const SCase &sought,SFinding &finding);
   bool              AddFitting(const SCase &sought);
   void              Judge(const SCase &sought,const ulong ticket,SFinding &finding) const;
   void              JudgeClosed(const SOrderRecord &order,const bool pending,SFinding &finding) const;
   //--- modifications
   void              FindLevels(const SCase &sought,SFinding &finding);
   void              FindModification(const SCase &sought,SFinding &finding);
   void              FindRemoval(const SCase &sought,SFinding &finding);
   void              FindCloseBy(const SCase &sought,SFinding &finding);
   bool              FindCloseByDeals(const ulong position,const ulong position_by,const long since_msc,SFinding &finding) const;
   void              Compare(const double &present[],const SWanted &wanted,const SCase &sought,SFinding &finding) const;
   //--- inside
   void              Search(const SCase &sought,SFinding &finding);
   bool              ReadTraces(const long from_msc,SFinding &finding);
   int               ClosedOrder(const SCase &sought,const ulong ticket,SFinding &finding);
   void              Unreadable(const string what,SFinding &finding) const;
   bool              AddTicket(const ulong ticket);
   bool              IsKnownOrder(const ulong ticket) const;
   static bool       MagicFits(const SCase &sought,const ulong magic);
   static bool       WantedVolume(const SCase &sought,double &volume);
   static bool       IsWhole(const SCase &sought,const double volume);
   static bool       MayBeRewritten(const string comment,const string tag);
   static string     State(const SOrderRecord &order);
  };

void CEvidenceFinder::Look(const SCase &sought,SFinding &finding)
  {
   finding.Set((uint)OUTCOME_UNKNOWN,(uint)EVIDENCE_NONE,"");
   Search(sought,finding);
   ArrayFree(m_open);
   ArrayFree(m_closed);
   ArrayFree(m_deals);
   ArrayFree(m_tickets);
  }

void CEvidenceFinder::Search(const SCase &sought,SFinding &finding)
  {
   const uint action=sought.request.action;
   if(action==(uint)TRADE_ACTION_DEAL || action==(uint)TRADE_ACTION_PENDING)
     {
      FindOrder(sought,finding);
      return;
     }
   if(sought.ended)
     {
      finding.text="others may have done the same since";
      return;
     }
   switch(action)
     {
      case TRADE_ACTION_SLTP:
         FindLevels(sought,finding);
         return;
      case TRADE_ACTION_MODIFY:
         FindModification(sought,finding);
         return;
      case TRADE_ACTION_REMOVE:
         FindRemoval(sought,finding);
         return;
      case TRADE_ACTION_CLOSE_BY:
         FindCloseBy(sought,finding);
         return;
     }
   finding.text="this action leaves no trace that is known";
  }

bool CEvidenceFinder::DealsOf(const ulong order,const long from_msc,SDealRecord &found[])
  {
   if(order==0)
     {
      ArrayFree(found);
      return(true);
     }
   return(m_broker.HistoryDeals(from_msc-TRACES_NARROW_MSC,TRACES_END_OF_TIME,found,order));
  }

//+------------------------------------------------------------------+
//| DEAL and PENDING                                                 |
//+------------------------------------------------------------------+
void CEvidenceFinder::FindOrder(const SCase &sought,SFinding &finding)
  {
   if(!ReadTraces(sought.from_msc-TRACES_MARGIN_MSC,finding))
      return;
//--- the first one is the command's own: what closes its position later may have got the
//--- position's comment from the broker
   ulong first=0;
   for(int i=0; i<ArraySize(m_open); i++)
      if(m_open[i].comment==sought.tag && MagicFits(sought,m_open[i].magic) && (first==0 || m_open[i].ticket<first))
         first=m_open[i].ticket;
   for(int i=0; i<ArraySize(m_closed); i++)
      if(m_closed[i].comment==sought.tag && MagicFits(sought,m_closed[i].magic) && (first==0 || m_closed[i].ticket<first))
         first=m_closed[i].ticket;
   for(int i=0; i<ArraySize(m_deals); i++)
      if(m_deals[i].comment==sought.tag && MagicFits(sought,m_deals[i].magic) && m_deals[i].order!=0 &&
         (first==0 || m_deals[i].order<first))
         first=m_deals[i].order;
   if(first!=0)
     {
      Judge(sought,first,finding);
      return;
     }
   if(!FindPosition(sought,finding))
      FindUntagged(sought,finding);
  }

// The position that carries the tag; true: the finding says all there is to say.
bool CEvidenceFinder::FindPosition(const SCase &sought,SFinding &finding)
  {
   SPositionRecord positions[];
   if(!m_broker.Positions(positions))
     {
      Unreadable("positions",finding);
      return(true);
     }
   for(int i=0; i<ArraySize(positions); i++)
     {
      if(positions[i].comment!=sought.tag || !MagicFits(sought,positions[i].magic))
         continue;
      JudgePosition(sought,positions[i],finding);
      return(true);
     }
   return(false);
  }

// A position that nothing has changed is what the order that opened it has filled.
void CEvidenceFinder::JudgePosition(const SCase &sought,const SPositionRecord &position,SFinding &finding) const
  {
   double wanted=0.0;
   const bool has_wanted=WantedVolume(sought,wanted);
   if(position.ticket!=position.identifier || position.time_update_msc!=position.time_msc
      || (has_wanted && position.volume>=wanted+TRACES_TINY))
     {
      finding.Set((uint)OUTCOME_UNKNOWN,(uint)EVIDENCE_NONE,
                  "its position has changed since: how much was executed will be told by its deals");
      return;
     }
   finding.Set((uint)(IsWhole(sought,position.volume) ? OUTCOME_DONE : OUTCOME_PARTIAL),(uint)EVIDENCE_POSITIONS,"");
   finding.complete=false;
   finding.order=position.ticket;
   finding.position=position.ticket;
   finding.volume=position.volume;
   finding.price=position.price_open;
   finding.time_msc=position.time_msc;
  }

void CEvidenceFinder::FindUntagged(const SCase &sought,SFinding &finding)
  {
   finding.Set((uint)OUTCOME_NOT_FOUND,(uint)EVIDENCE_NONE,"");
   if(!sought.has_sent || sought.ended)
      return;
   if(!AddFitting(sought))
     {
      finding.Set((uint)OUTCOME_UNKNOWN,(uint)EVIDENCE_NONE,"it cannot be told whose the orders are");
      return;
     }
   const int total=ArraySize(m_tickets);
   if(total==0)
      return;
   const int rivals=(total>1 ? 0 : m_claims.Rivals(sought));
   if(rivals<0)
     {
      finding.Set((uint)OUTCOME_UNKNOWN,(uint)EVIDENCE_NONE,"it cannot be told whose the order is");
      return;
     }
   if(total>1 || rivals>0)
     {
      finding.Set((uint)OUTCOME_UNKNOWN,(uint)EVIDENCE_NONE,"the broker rewrites comments, and more than one order fits");
      return;
     }
   Judge(sought,m_tickets[0],finding);
  }

// Note the orders that fit in all but the comment and are nobody else's; false: that cannot be told.
bool CEvidenceFinder::AddFitting(const SCase &sought)
  {
   ArrayFree(m_tickets);
   const long low=sought.from_msc-TRACES_NARROW_MSC;
   const long high=sought.until_msc;
   const int opened=ArraySize(m_open);
   const int orders=opened+ArraySize(m_closed);
   for(int i=0; i<orders; i++)
     {
      SOrderRecord order={};
      if(i<opened)
         order=m_open[i];
      else
         order=m_closed[i-opened];
      if(order.time_setup_msc<low || order.time_setup_msc>high || order.reason!=(uint)ORDER_REASON_EXPERT)
         continue;
      if(order.symbol!=sought.sent.symbol || order.type!=(uint)sought.sent.type || order.magic!=sought.sent.magic)
         continue;
      if(!IsNear(order.volume_initial,sought.sent.volume) || !MayBeRewritten(order.comment,sought.tag))
         continue;
      const int anothers=m_claims.BelongsToAnother(sought.command_id,order.ticket);
      if(anothers<0 || (anothers==0 && !AddTicket(order.ticket)))
         return(false);
     }
   for(int i=0; i<ArraySize(m_deals); i++)
     {
      if(IsKnownOrder(m_deals[i].order) || m_deals[i].time_msc<low || m_deals[i].time_msc>high ||
         m_deals[i].reason!=(uint)DEAL_REASON_EXPERT)
         continue;
      if(m_deals[i].symbol!=sought.sent.symbol || m_deals[i].type!=(uint)sought.sent.type ||
         m_deals[i].magic!=sought.sent.magic)
         continue;
      if(m_deals[i].volume>=sought.sent.volume+TRACES_TINY || !MayBeRewritten(m_deals[i].comment,sought.tag))
         continue;
      const int anothers=m_claims.BelongsToAnother(sought.command_id,m_deals[i].order);
      if(anothers<0 || (anothers==0 && !AddTicket(m_deals[i].order)))
         return(false);
     }
   return(true);
  }

// What the records of one order say: at least one of them is there.
void CEvidenceFinder::Judge(const SCase &sought,const ulong ticket,SFinding &finding) const
  {
   finding.Set((uint)OUTCOME_PLACED,(uint)EVIDENCE_ORDERS,"");
   finding.order=ticket;
   double volume=0.0;
   double paid=0.0;
   int deals=0;
   for(int i=0; i<ArraySize(m_deals); i++)
     {
      if(m_deals[i].order!=ticket)
         continue;
      if(ArrayResize(finding.deals,deals+1,RESULT_DEALS_MAX)!=deals+1)
        {
         finding.Set((uint)OUTCOME_UNKNOWN,(uint)EVIDENCE_NONE,"no memory");
         return;
        }
      finding.deals[deals]=m_deals[i].ticket;
      deals++;
      volume+=m_deals[i].volume;
      paid+=m_deals[i].price*m_deals[i].volume;
      if(deals==1)
         finding.position=m_deals[i].position_id;
      finding.time_msc=m_deals[i].time_msc;
     }
   finding.volume=NormalizeDouble(volume,EVIDENCE_VOLUME_DIGITS);
   if(finding.volume>0.0)
      finding.price=paid/finding.volume;
   for(int i=0; i<ArraySize(m_closed); i++)
     {
      if(m_closed[i].ticket!=ticket)
         continue;
      JudgeClosed(m_closed[i],sought.request.action==(uint)TRADE_ACTION_PENDING,finding);
      return;
     }
   for(int i=0; i<ArraySize(m_open); i++)
     {
      if(m_open[i].ticket!=ticket)
         continue;
      if(m_open[i].volume_current<m_open[i].volume_initial-TRACES_TINY || deals>0)
         finding.outcome=(uint)OUTCOME_PARTIAL;
      if(finding.time_msc==0)
         finding.time_msc=m_open[i].time_setup_msc;
      if(finding.price==0.0)
         finding.price=m_open[i].price_open;
      const double filled=NormalizeDouble(m_open[i].volume_initial-m_open[i].volume_current,EVIDENCE_VOLUME_DIGITS);
      finding.complete=(finding.volume>=filled-TRACES_TINY);
      if(filled>finding.volume)
         finding.volume=filled;
      return;
     }
   finding.complete=IsWhole(sought,finding.volume);
   finding.outcome=(uint)(finding.complete ? OUTCOME_DONE : OUTCOME_PARTIAL);
   finding.evidence=(uint)EVIDENCE_HISTORY_DEALS;
  }

void CEvidenceFinder::JudgeClosed(const SOrderRecord &order,const bool pending,SFinding &finding) const
  {
   const double filled=NormalizeDouble(order.volume_initial-order.volume_current,EVIDENCE_VOLUME_DIGITS);
   finding.evidence=(uint)(ArraySize(finding.deals)>0 ? EVIDENCE_HISTORY_DEALS : EVIDENCE_HISTORY_ORDERS);
   finding.complete=(finding.volume>=filled-TRACES_TINY);
   if(filled>finding.volume)
      finding.volume=filled;
   if(finding.price==0.0)
      finding.price=order.price_open;
   if(finding.time_msc==0)
      finding.time_msc=order.time_done_msc;
   if(finding.position==0)
      finding.position=order.position_id;
   if(order.state==(uint)ORDER_STATE_FILLED)
     {
      finding.outcome=(uint)OUTCOME_DONE;
      return;
     }
   if(finding.volume>TRACES_TINY)
     {
      finding.outcome=(uint)OUTCOME_PARTIAL;
      return;
     }
   finding.text="the order is closed without a deal: "+State(order);
   if(order.state==(uint)ORDER_STATE_REJECTED || !pending)
     {
      finding.outcome=(uint)OUTCOME_REJECTED;
      finding.price=0.0;
      return;
     }
   finding.outcome=(uint)OUTCOME_PLACED;
  }

//+------------------------------------------------------------------+
//| Modifications                                                    |
//+------------------------------------------------------------------+
void CEvidenceFinder::FindLevels(const SCase &sought,SFinding &finding)
  {
   const ulong ticket=(sought.request.has_position ? sought.request.position : 0);
   SPositionRecord position={};
   if(!m_broker.Position(ticket,position))
     {
      if(m_broker.LastError()!=0)
         Unreadable("positions",finding);
      else
         finding.text="the position is closed: its levels cannot be seen";
      return;
     }
   double present[2]={0.0,0.0};
   if(!LevelsOf(position,present))
      return;
   SWanted wanted;
   if(sought.has_sent)
      AskedBySent(sought.sent,wanted);
   else
     {
      wanted.Add(sought.request.has_sl,sought.request.sl);
      wanted.Add(sought.request.has_tp,sought.request.tp);
     }
   Compare(present,wanted,sought,finding);
   if(finding.outcome!=(uint)OUTCOME_DONE)
      return;
   finding.evidence=(uint)EVIDENCE_POSITIONS;
   finding.position=ticket;
   finding.time_msc=position.time_update_msc;
  }

void CEvidenceFinder::FindModification(const SCase &sought,SFinding &finding)
  {
   const ulong ticket=(sought.request.has_order ? sought.request.order : 0);
   SOrderRecord order={};
   uint evidence=(uint)EVIDENCE_ORDERS;
   if(!m_broker.Order(ticket,order))
     {
      if(m_broker.LastError()!=0)
        {
         Unreadable("orders",finding);
         return;
        }
      const int place=ClosedOrder(sought,ticket,finding);
      if(place<0)
        {
         if(finding.text=="")
            finding.text="the order is not to be found";
         return;
        }
      order=m_closed[place];
      evidence=(uint)EVIDENCE_HISTORY_ORDERS;
     }
   double present[TRADE_BEFORE_MAX];
   ArrayInitialize(present,0.0);
   if(!ValuesOf(order,present))
      return;
   SWanted wanted;
   if(sought.has_sent)
      AskedBySent(sought.sent,wanted);
   else
     {
      wanted.Add(sought.request.has_price,sought.request.price);
      wanted.Add(sought.request.has_stoplimit,sought.request.stoplimit);
      wanted.Add(sought.request.has_sl,sought.request.sl);
      wanted.Add(sought.request.has_tp,sought.request.tp);
      wanted.Add(sought.request.has_type_time,(double)sought.request.type_time);
      wanted.Add(sought.request.has_expiration,(double)sought.request.expiration);
     }
   Compare(present,wanted,sought,finding);
   if(finding.outcome!=(uint)OUTCOME_DONE)
      return;
   finding.evidence=evidence;
   finding.order=ticket;
  }

void CEvidenceFinder::FindRemoval(const SCase &sought,SFinding &finding)
  {
   const ulong ticket=(sought.request.has_order ? sought.request.order : 0);
   SOrderRecord order={};
//--- the open one first: an order that ends between the two calls is then in the history
   const bool open=m_broker.Order(ticket,order);
   if(!open && m_broker.LastError()!=0)
     {
      Unreadable("orders",finding);
      return;
     }
   const int place=ClosedOrder(sought,ticket,finding);
   if(place<0)
     {
      if(finding.text!="")
         return;
      if(open)
         finding.Set((uint)OUTCOME_NOT_FOUND,(uint)EVIDENCE_NONE,"the order is still open");
      else
         finding.text="the order is not to be found";
      return;
     }
   order=m_closed[place];
   if(order.state==(uint)ORDER_STATE_CANCELED)
     {
      finding.Set((uint)OUTCOME_DONE,(uint)EVIDENCE_HISTORY_ORDERS,"");
      finding.order=ticket;
      finding.time_msc=order.time_done_msc;
      return;
     }
   finding.Set((uint)OUTCOME_NOT_FOUND,(uint)EVIDENCE_HISTORY_ORDERS,"the order ended by itself: "+State(order));
  }

void CEvidenceFinder::FindCloseBy(const SCase &sought,SFinding &finding)
  {
   const ulong position=(sought.request.has_position ? sought.request.position : 0);
   const ulong position_by=(sought.request.has_position_by ? sought.request.position_by : 0);
   const long since=sought.from_msc-TRACES_NARROW_MSC;
   if(!ReadTraces(since,finding) || FindCloseByDeals(position,position_by,since,finding))
      return;
   finding.Set((uint)OUTCOME_NOT_FOUND,(uint)EVIDENCE_NONE,"");
   for(int i=0; i<ArraySize(m_closed); i++)
     {
      if(m_closed[i].type!=(uint)ORDER_TYPE_CLOSE_BY || m_closed[i].state!=(uint)ORDER_STATE_FILLED ||
         m_closed[i].time_done_msc<since)
         continue;
      const bool same=(m_closed[i].position_id==position && m_closed[i].position_by_id==position_by);
      if(!same && m_closed[i].comment!=sought.tag)
         continue;
      finding.Set((uint)OUTCOME_DONE,(uint)EVIDENCE_HISTORY_ORDERS,"");
      finding.order=m_closed[i].ticket;
      finding.position=position;
      finding.volume=m_closed[i].volume_initial;
      finding.time_msc=m_closed[i].time_done_msc;
      return;
     }
  }

// The order whose deals closed both positions; its first deal comes first.
bool CEvidenceFinder::FindCloseByDeals(const ulong position,const ulong position_by,const long since_msc,
                                       SFinding &finding) const
  {
   const int total=ArraySize(m_deals);
   for(int i=0; i<total; i++)
     {
      const ulong order=m_deals[i].order;
      if(m_deals[i].entry!=(uint)DEAL_ENTRY_OUT_BY || m_deals[i].time_msc<since_msc)
         continue;
      finding.Set((uint)OUTCOME_DONE,(uint)EVIDENCE_HISTORY_DEALS,"");
      bool one=false;
      bool other=false;
      int deals=0;
      for(int k=i; k<total; k++)
        {
         if(m_deals[k].order!=order || m_deals[k].entry!=(uint)DEAL_ENTRY_OUT_BY)
            continue;
         one=(one || m_deals[k].position_id==position);
         other=(other || m_deals[k].position_id==position_by);
         if(ArrayResize(finding.deals,deals+1,2)!=deals+1)
           {
            finding.Set((uint)OUTCOME_UNKNOWN,(uint)EVIDENCE_NONE,"no memory");
            return(true);
           }
         finding.deals[deals]=m_deals[k].ticket;
         deals++;
         if(deals==1 || m_deals[k].volume<finding.volume)
            finding.volume=m_deals[k].volume;
         finding.time_msc=m_deals[k].time_msc;
        }
      if(!one || !other)
         continue;
      finding.order=order;
      finding.position=position;
      finding.price=m_deals[i].price;
      return(true);
     }
   return(false);
  }

// DONE when the present values are those that were wanted, NOT_FOUND when they are those before.
void CEvidenceFinder::Compare(const double &present[],const SWanted &wanted,const SCase &sought,SFinding &finding) const
  {
   const int count=wanted.count;
   bool any=false;
   bool is_wanted=true;
   bool is_before=(sought.before_count==count);
   for(int i=0; i<count; i++)
     {
      any=(any || wanted.given[i]);
      if(wanted.given[i] && !IsNear(wanted.values[i],present[i]))
         is_wanted=false;
      if(is_before && !IsNear(sought.before[i],present[i]))
         is_before=false;
     }
   if(!any)
      finding.Set((uint)OUTCOME_UNKNOWN,(uint)EVIDENCE_NONE,"it is not known which values were asked for");
   else
      if(is_wanted)
         finding.Set((uint)OUTCOME_DONE,(uint)EVIDENCE_NONE,"");
      else
         if(is_before)
            finding.Set((uint)OUTCOME_NOT_FOUND,(uint)EVIDENCE_NONE,"the values are what they were before");
         else
            finding.Set((uint)OUTCOME_UNKNOWN,(uint)EVIDENCE_NONE,"the values are neither what was asked nor what they were");
  }

//+------------------------------------------------------------------+
//| Inside                                                           |
//+------------------------------------------------------------------+
// Orders, open and closed, and deals; false: they cannot be read, and the finding says so.
bool CEvidenceFinder::ReadTraces(const long from_msc,SFinding &finding)
  {
   if(!m_broker.Orders(m_open))
      Unreadable("orders",finding);
   else
      if(!m_broker.HistoryOrders(from_msc,TRACES_END_OF_TIME,m_closed) ||
         !m_broker.HistoryDeals(from_msc,TRACES_END_OF_TIME,m_deals))
         Unreadable("history",finding);
      else
         return(true);
   return(false);
  }

// The place of an order among the closed ones, -1 when it is not there or, with a text, cannot be read.
int CEvidenceFinder::ClosedOrder(const SCase &sought,const ulong ticket,SFinding &finding)
  {
   if(!m_broker.HistoryOrders(sought.from_msc-TRACES_MARGIN_MSC,TRACES_END_OF_TIME,m_closed))
     {
      Unreadable("history",finding);
      return(-1);
     }
   for(int i=0; i<ArraySize(m_closed); i++)
      if(m_closed[i].ticket==ticket)
         return(i);
   return(-1);
  }

void CEvidenceFinder::Unreadable(const string what,SFinding &finding) const
  {
   finding.Set((uint)OUTCOME_UNKNOWN,(uint)EVIDENCE_NONE,"the "+what+" cannot be read: error "+
               IntegerToString(m_broker.LastError()));
  }

// Note an order once; false: there is no memory.
bool CEvidenceFinder::AddTicket(const ulong ticket)
  {
   const int total=ArraySize(m_tickets);
   for(int i=0; i<total; i++)
      if(m_tickets[i]==ticket)
         return(true);
   if(ArrayResize(m_tickets,total+1,16)!=total+1)
      return(false);
   m_tickets[total]=ticket;
   return(true);
  }

bool CEvidenceFinder::IsKnownOrder(const ulong ticket) const
  {
   for(int i=0; i<ArraySize(m_open); i++)
      if(m_open[i].ticket==ticket)
         return(true);
   for(int i=0; i<ArraySize(m_closed); i++)
      if(m_closed[i].ticket==ticket)
         return(true);
   return(false);
  }

bool CEvidenceFinder::MagicFits(const SCase &sought,const ulong magic)
  {
   if(sought.has_sent)
      return(magic==sought.sent.magic);
   return(!sought.request.has_magic || magic==sought.request.magic);
  }

// What was to be traded; false: it is not known.
bool CEvidenceFinder::WantedVolume(const SCase &sought,double &volume)
  {
   if(sought.has_sent)
      volume=sought.sent.volume;
   else
      if(sought.request.has_volume)
         volume=sought.request.volume;
      else
         return(false);
   return(true);
  }

bool CEvidenceFinder::IsWhole(const SCase &sought,const double volume)
  {
   double wanted=0.0;
   return(!WantedVolume(sought,wanted) || volume>=wanted-TRACES_TINY);
  }

// Nothing of ours, or the beginning of this very tag. Another tag is another command.
bool CEvidenceFinder::MayBeRewritten(const string comment,const string tag)
  {
   return(StringFind(comment,ORDER_TAG_PREFIX)!=0 || StringFind(tag,comment)==0);
  }

string CEvidenceFinder::State(const SOrderRecord &order)
  {
   const string name=EnumToString((ENUM_ORDER_STATE)order.state);
   const string prefix="ORDER_STATE_";
   if(StringFind(name,prefix)==0)
      return(StringSubstr(name,StringLen(prefix)));
   return("state "+IntegerToString((int)order.state));
  }

#endif // BRIDGE_TRADE_EVIDENCE_MQH
