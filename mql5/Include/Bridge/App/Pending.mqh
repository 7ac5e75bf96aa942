//+------------------------------------------------------------------+
//|                                                      Pending.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// SUBSCRIBEs that wait for their turn, or for a history that is being loaded; those let others
// pass.

#ifndef BRIDGE_APP_PENDING_MQH
#define BRIDGE_APP_PENDING_MQH

#include <Bridge/Wire/Spec.mqh>
#include <Bridge/Wire/Messages.mqh>

#define PENDING_MAX 1024

struct SPendingSubscribe
  {
   SSubscribe        subscribe;
   long              until_us;          // the history must have come by then
   long              not_before_us;
                     SPendingSubscribe(void);
  };

SPendingSubscribe::SPendingSubscribe(void) : until_us(0),not_before_us(0)
  {
   ZeroMemory(subscribe);
  }

//+------------------------------------------------------------------+
//| A queue of them                                                  |
//+------------------------------------------------------------------+
class CPendingSubscribes
  {
public:
   SPendingSubscribe m_waiting[];       // those that count: [m_first,m_end)

private:
   int               m_first;
   int               m_end;

public:
                     CPendingSubscribes(void) : m_first(0),m_end(0) { }
   int               Count(void) const { return(m_end-m_first); }
   void              Clear(void) { m_first=0; m_end=0; }
   bool              Push(const SPendingSubscribe &pending);
   void              Take(const int index,SPendingSubscribe &pending);
   int               FirstDue(const long now_us) const;
   long              NextDue(void) const;
  };

// Put one behind the others; false when too many wait already.
bool CPendingSubscribes::Push(const SPendingSubscribe &pending)
  {
   if(Count()>=PENDING_MAX)
      return(false);
   if(m_first>=PENDING_MAX)
     {
      for(int i=m_first; i<m_end; i++)
         m_waiting[i-m_first]=m_waiting[i];
      m_end-=m_first;
      m_first=0;
     }
   if(ArraySize(m_waiting)<=m_end && ArrayResize(m_waiting,m_end+1,64)!=m_end+1)
      return(false);
   m_waiting[m_end]=pending;
   m_end++;
   return(true);
  }

// Take one out; those before it keep their order.
void CPendingSubscribes::Take(const int index,SPendingSubscribe &pending)
  {
   pending=m_waiting[index];
   for(int i=index; i>m_first; i--)
      m_waiting[i]=m_waiting[i-1];
   m_first++;
   if(m_first>=m_end)
      Clear();
  }

// The index of the first one that need not wait any longer, -1 for none.
int CPendingSubscribes::FirstDue(const long now_us) const
  {
   for(int i=m_first; i<m_end; i++)
      if(now_us>=m_waiting[i].not_before_us)
         return(i);
   return(-1);
  }

long CPendingSubscribes::NextDue(void) const
  {
   long due_us=WIRE_NEVER_US;
   for(int i=m_first; i<m_end; i++)
      if(m_waiting[i].not_before_us<due_us)
         due_us=m_waiting[i].not_before_us;
   return(due_us);
  }

#endif // BRIDGE_APP_PENDING_MQH
